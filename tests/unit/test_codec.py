"""What encode, decode and inspect promise."""

import numpy as np
import pytest

from seec.pipeline.codec import (
    Background,
    Encoder,
    Model,
    Region,
    decode,
    decode_region,
    default_model,
    encode,
    inspect,
    kernels,
    load_model,
)
from seec.pipeline.codec.coding.labels import DEEP_RELUCTANCE, choose_labels
from seec.pipeline.images.digest import pixel_digest
from seec.schemas import container
from seec.schemas.container import SectionKind, parse, reader
from seec.schemas.errors import LimitExceeded, UnknownModel
from tests.pictures import gray, textured
from tests.vectors.drawn import FOLDER as MODELS

SHAPES = [(1, 1), (1, 7), (9, 1), (2, 2), (3, 5), (16, 16), (17, 33), (3, 200), (200, 3), (70, 90)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("draw", [gray, textured])
def test_every_size_decodes_to_the_same_pixels(draw, shape):
    image = draw(*shape)
    decoded = decode(encode(image))
    assert (decoded.dtype, decoded.shape) == (np.uint8, image.shape)
    assert (decoded == image).all()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((40, 40, 3), np.uint8),
        np.full((40, 40), 255, np.uint8),
        np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8),
        np.tile(np.array([[0, 255]], np.uint8), (30, 15)),
        np.arange(256, dtype=np.uint8).repeat(4).reshape(32, 32),
    ],
    ids=["black", "white gray", "noise", "checks", "ramp"],
)
def test_extreme_pictures_survive_and_never_grow_beyond_64_bytes(image):
    blob = encode(image)
    assert (decode(blob) == image).all()
    assert len(blob) <= image.nbytes + 64


@pytest.mark.parametrize(("tile_size", "per_group"), [(16, 1), (16, 5), (32, 100), (48, 2)])
def test_tile_and_group_sizes_are_free(tile_size, per_group):
    image = textured(75, 101)
    encoder = Encoder(default_model(), tile_size=tile_size, tiles_per_group=per_group, screen=False)
    (blob,) = encoder.encode_batch([image], [None])
    assert inspect(blob).tile_size == tile_size
    assert (decode(blob) == image).all()


def test_views_and_read_only_arrays_are_welcome():
    image = textured(40, 60)[::-1, ::2]
    image.flags.writeable = False
    assert (decode(encode(image)) == image).all()


def test_labels_given_by_the_caller_are_used():
    image = textured(64, 64)
    labels = np.zeros((64, 64), np.uint8)
    labels[:, 32:] = 1
    encoder = Encoder(default_model(), screen=False)
    blob, other = encoder.encode_batch([image] * 2, [labels, np.zeros_like(labels)])
    assert inspect(blob).sections[0][0] == "labels"
    assert (decode(blob) == image).all()
    assert blob != other


def test_choosing_labels_by_code_length_is_no_larger_than_one_entropy_model():
    image = textured(128, 128)
    fixed = [len(encode(image, labels=np.full((128, 128), e, np.uint8))) for e in range(4)]
    # What output layers learn with one entropy model, nobody knows when labels are chosen.
    assert len(encode(image)) <= 1.005 * min(fixed)


@pytest.mark.parametrize(
    ("saves", "reluctance", "changes"),
    [
        (100, 1, False),
        (1000, 1, True),
        (1000, DEEP_RELUCTANCE, False),
        (9000, DEEP_RELUCTANCE, True),
    ],
)
def test_a_label_changes_where_that_saves_enough(saves: int, reluctance: int, changes: bool):
    costs = np.zeros((8, 8, 2), np.int64)
    costs[..., 1] = 9000
    costs[2:6, 2:6] = [saves, 0]
    expected = np.zeros((8, 8), np.uint8)
    expected[2:6, 2:6] = changes
    assert (choose_labels(costs, reluctance) == expected).all()


def test_inspect_tells_the_facts():
    image = textured(20, 30)
    blob = encode(image)
    info = inspect(blob)
    assert (info.width, info.height, info.channels) == (30, 20, 3)
    assert info.pixel_digest == pixel_digest(image)[:16]
    assert default_model().id.startswith(info.model_id)
    assert info.size_bytes == len(blob)
    assert info.rate_bpsp == pytest.approx(8 * len(blob) / image.size)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint16),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros((4,), np.uint8),
    ],
)
def test_other_arrays_are_refused(image):
    with pytest.raises(ValueError, match=r"uint8|without pixels"):
        encode(image)


def test_labels_of_the_wrong_size_or_value_are_refused():
    image = textured(16, 16)
    with pytest.raises(ValueError, match="labels"):
        encode(image, labels=np.zeros((8, 8), np.uint8))
    with pytest.raises(ValueError, match="entropy models"):
        encode(image, labels=np.full((16, 16), 9, np.uint8))


def test_a_file_of_another_model_names_the_model_it_needs(golden_model: Model):
    image = textured(16, 16)
    blob = encode(image, model=golden_model)
    with pytest.raises(UnknownModel, match=golden_model.id[:16]):
        decode(blob)
    assert (decode(blob, models={golden_model.id: golden_model}) == image).all()


def test_larger_images_than_allowed_are_refused_before_any_work():
    blob = encode(textured(20, 20))
    with pytest.raises(LimitExceeded):
        decode(blob, max_pixels=399)


def test_the_packaged_model_loads_from_its_own_bytes():
    model = default_model()
    assert load_model(model.payload).id == model.id
    assert model.card["name"]


@pytest.mark.parametrize(
    "region",
    [
        Region(0, 0, 101, 75),
        Region(0, 0, 1, 1),
        Region(100, 74, 1, 1),
        Region(31, 31, 2, 2),
        Region(40, 10, 50, 60),
        Region(100, 0, 1, 1),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("draw", [gray, textured])
def test_a_region_decodes_to_its_part_of_the_image(draw, turned, region):
    image = draw(75, 101)
    encoder = Encoder(default_model(), tile_size=32, turned=turned)
    (blob,) = encoder.encode_batch([image], [None])
    assert parse(blob).turned == turned
    part = decode_region(reader(blob), region)
    rows = slice(region.y, region.y + region.height)
    assert (part == image[rows, region.x : region.x + region.width]).all()


@pytest.mark.parametrize(
    ("turned", "size", "region"),
    [(False, (160, 160), Region(70, 70, 8, 8)), (True, (160, 192), Region(150, 20, 8, 8))],
)
def test_a_region_reads_only_the_tiles_it_touches(turned, size, region):
    encoder = Encoder(default_model(), tile_size=16, screen=False, turned=turned)
    (blob,) = encoder.encode_batch([textured(*size)], [None])
    ranges = []

    def read(offset: int, size: int) -> bytes:
        ranges.append(size)
        return blob[offset : offset + size]

    decode_region(read, region)
    assert sum(ranges) < len(blob) / 10


@pytest.mark.parametrize(
    "region", [Region(-1, 0, 2, 2), Region(0, 0, 0, 1), Region(5, 0, 6, 1), Region(0, 9, 1, 2)]
)
def test_regions_outside_the_image_are_refused(region):
    blob = encode(textured(10, 10))
    with pytest.raises(ValueError, match="not inside"):
        decode_region(reader(blob), region)


@pytest.mark.parametrize(
    "options", [{"tile_size": 8}, {"tile_size": 24}, {"tile_size": 4096, "tiles_per_group": 5}]
)
def test_tilings_that_a_decoder_would_refuse_are_refused(options):
    with pytest.raises(LimitExceeded):
        Encoder(default_model(), **options)


def test_without_the_c_kernels_it_says_so_and_writes_the_same_bytes(monkeypatch):
    image = textured(20, 20)
    expected = encode(image)
    monkeypatch.setattr(kernels, "native_available", lambda: False)
    unseen = load_model(default_model().payload)  # kernels are kept for models seen before
    with pytest.warns(RuntimeWarning, match="C kernels were not built"):
        assert encode(image, model=unseen) == expected


@pytest.mark.parametrize("lossy", [False, True], ids=["lossless", "background"])
@pytest.mark.parametrize("stored", [None, "drawn-sic.safetensors"], ids=["packaged", "SIC"])
def test_long_images_get_larger_groups_than_asked_for_where_a_file_could_not_list_them(
    monkeypatch, stored, lossy
):
    monkeypatch.setattr(container, "MAX_SECTIONS", 8)
    image = textured(3, 16 * 13)
    region = np.zeros(image.shape[:2], bool)
    region[:, :40] = True
    model = default_model() if stored is None else load_model((MODELS / stored).read_bytes())
    background = Background(region, 8) if lossy else None
    encoder = Encoder(model, tile_size=16, screen=False)
    (blob,) = encoder.encode_batch([image], [None], [background])
    sections = parse(blob).sections
    others = {s.kind for s in sections} - {SectionKind.TILE_GROUP}
    assert len(others) == 1 + lossy + 2 * (stored is not None)
    assert len(sections) <= 8
    decoded = decode(blob, models={model.id: model})
    assert (decoded[region] == image[region]).all()
    assert (decoded == image).all() != lossy
