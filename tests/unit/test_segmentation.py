"""Segmentation sources: what each does beyond what all do, and what it refuses."""

import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from seec.pipeline.segmentation import check_labels, label_image, make_segmenter
from seec.pipeline.segmentation.birefnet import sizes_of
from seec.pipeline.segmentation.birefnet_network import DeformableConv
from seec.pipeline.segmentation.masks import labels_in
from seec.pipeline.segmentation.priors import barrier_distance
from seec.pipeline.segmentation.saliency import SaliencySegmenter, sharpen
from seec.pipeline.segmentation.salient import load_salient
from seec.pipeline.segmentation.swin import SwinSizes, SwinTransformer
from seec.schemas.errors import MissingPackage, ModelError, UnreadableMask
from tests.pictures import textured
from tests.segmenters import TINY, write_birefnet, write_mask, write_onnx

IMAGE = textured(20, 30)


@pytest.mark.parametrize("name", ["", "salient:x", "masks", "masks:", "rate+rate", "onnx", "+rate"])
def test_names_that_are_none_are_refused(name: str):
    with pytest.raises(ValueError, match="known: none, rate, salient"):
        make_segmenter(name)


@pytest.mark.parametrize("name", ["masks:absent", "birefnet:absent", "onnx:absent"])
def test_a_source_whose_files_are_missing_says_so(name: str, tmp_path: Path):
    kind, _, path = name.partition(":")
    with pytest.raises(ModelError, match="absent"):
        make_segmenter(f"{kind}:{tmp_path / path}")


def test_more_labels_than_entropy_models_are_refused_before_any_image():
    with pytest.raises(ModelError, match=r"2 labels and the model has 1 entropy models"):
        check_labels(make_segmenter("salient"), entropy_models=1)
    check_labels(make_segmenter("salient+rate"), entropy_models=1)
    check_labels(make_segmenter("salient"), entropy_models=2)


def test_a_bright_object_on_a_dark_ground_is_salient():
    rows, columns = np.mgrid[:120, :160]
    inside = (rows - 60) ** 2 + (columns - 80) ** 2 < 30**2
    image = np.where(inside[..., None], [230, 60, 40], [30, 60, 40]).astype(np.uint8)
    (labels,) = make_segmenter("salient").segment([image])
    assert labels is not None
    assert np.count_nonzero((labels == 1) & inside) / np.count_nonzero((labels == 1) | inside) > 0.8


def test_weights_of_something_else_are_refused():
    with pytest.raises(ModelError, match="no weights of the network"):
        load_salient(b"12345678")
    with pytest.raises(ModelError, match="no weights of the network"):
        load_salient(safetensors.torch.save({"x": torch.zeros(1)}, {"card": "{}"}))


def test_edges_of_the_picture_sharpen_a_coarse_map():
    guide = np.zeros((64, 64), np.float32)
    guide[:, 29:] = 1
    coarse = np.zeros((16, 16), np.float32)
    coarse[:, 7:] = 1  # says column 28
    fine = sharpen(coarse, guide)
    assert fine[32, 29] - fine[32, 28] > 0.5


def test_the_barrier_around_an_island_is_its_height():
    colours = torch.zeros(1, 1, 9, 9)
    colours[..., 2:7, 2:7] = 0.5
    distance = barrier_distance(colours)[0, 0]
    assert distance[4, 4] == 0.5
    assert distance[0, 4] == distance[1, 1] == 0


class TestMasks:
    @pytest.mark.parametrize(
        ("values", "mode", "expected"),
        [
            ([[0, 1], [15, 2]], "L", [[0, 1], [15, 2]]),
            ([[0, 255], [127, 128]], "L", [[0, 1], [0, 1]]),
            ([[0, 1], [1, 0]], "1", [[0, 1], [1, 0]]),
            ([[3, 0], [0, 4]], "P", [[3, 0], [0, 4]]),
        ],
    )
    def test_values_are_labels_or_a_mask(self, values, mode, expected, tmp_path: Path):
        picture = Image.fromarray(np.array(values, np.uint8))
        if mode == "1":
            picture = picture.point([0] + [255] * 255, "1")
        if mode == "P":
            picture.putpalette([0, 0, 0, 255, 255, 255] * 8)
        picture.save(tmp_path / "mask.png")
        assert labels_in(tmp_path / "mask.png", "x").tolist() == expected

    @pytest.mark.parametrize(
        ("values", "reason"),
        [
            (np.full((2, 2), 20, np.uint8), "label 20"),
            (np.zeros((2, 2, 3), np.uint8), "neither gray nor"),
        ],
    )
    def test_other_values_are_refused(self, values, reason: str, tmp_path: Path):
        Image.fromarray(values).save(tmp_path / "mask.png")
        with pytest.raises(UnreadableMask, match=f"^x: .*{reason}"):
            labels_in(tmp_path / "mask.png", "x")

    def test_a_missing_broken_or_wrongly_sized_mask_is_named(self, tmp_path: Path):
        write_mask(tmp_path, "small.png", np.zeros((3, 4), np.uint8))
        (tmp_path / "broken.png").write_bytes(b"no picture")
        source = make_segmenter(f"masks:{tmp_path}")
        for name, reason in (
            ("none.png", "no mask"),
            ("small.png", "the mask has 4 x 3 pixels and the image 30 x 20"),
            ("broken.png", "cannot be read as a picture"),
        ):
            with pytest.raises(UnreadableMask, match=f"^{name}: .*{reason}"):
                source.segment([IMAGE], [name])

    def test_masks_lie_at_the_path_of_the_image_with_any_suffix(self, tmp_path: Path):
        write_mask(tmp_path, "a/b.tiff", np.full((20, 30), 2, np.uint8))
        (labels,) = make_segmenter(f"masks:{tmp_path}").segment([IMAGE], ["a/b.tiff"])
        assert labels is not None
        assert (labels == 2).all()

    def test_a_label_without_entropy_model_is_an_error_unless_it_only_proposes(
        self, tmp_path: Path
    ):
        write_mask(tmp_path, "a.png", np.full((20, 30), 7, np.uint8))
        with pytest.raises(UnreadableMask, match=r"a.png: label 7, but the model has 4"):
            label_image(make_segmenter(f"masks:{tmp_path}"), IMAGE, "a.png", entropy_models=4)
        proposed = label_image(
            make_segmenter(f"masks:{tmp_path}+rate"), IMAGE, "a.png", entropy_models=4
        )
        assert proposed is not None
        assert (proposed == 7).all()


class TestBiRefNet:
    def test_its_sizes_are_read_off_the_weights(self, tmp_path: Path):
        weights = safetensors.torch.load_file(write_birefnet(tmp_path / "w.safetensors"))
        assert sizes_of(weights) == TINY

    @pytest.mark.parametrize("damage", ["missing", "extra", "shape"])
    def test_tensors_that_do_not_fit_are_named(self, damage: str, tmp_path: Path):
        file = write_birefnet(tmp_path / "w.safetensors")
        weights = safetensors.torch.load_file(file)
        name = "decoder.lateral_block3.conv.weight"
        if damage == "missing":
            del weights[name]
        elif damage == "extra":
            name = "refiner.weight"
            weights[name] = torch.zeros(1)
        else:
            weights[name] = torch.zeros(2, 2, 1, 1)
        safetensors.torch.save_file(weights, file)
        with pytest.raises(ModelError, match=name):
            make_segmenter(f"birefnet:{file}")

    def test_a_file_of_something_else_is_refused(self, tmp_path: Path):
        (tmp_path / "w.safetensors").write_bytes(b"something else")
        with pytest.raises(ModelError, match="not a safetensors file"):
            make_segmenter(f"birefnet:{tmp_path / 'w.safetensors'}")

    def test_without_offsets_a_deformable_convolution_is_a_convolution(self):
        torch.manual_seed(0)
        layer = DeformableConv(3, 5, 3)
        for part in (layer.offset_conv, layer.modulator_conv):
            torch.nn.init.zeros_(part.weight)
            assert part.bias is not None
            torch.nn.init.zeros_(part.bias)
        x = torch.randn(2, 3, 7, 9)
        torch.testing.assert_close(layer(x), layer.regular_conv(x), rtol=1e-4, atol=1e-5)

    def test_an_offset_of_one_column_shifts_what_a_tap_sees(self):
        torch.manual_seed(0)
        layer = DeformableConv(1, 1, 1)
        for part in (layer.offset_conv, layer.modulator_conv):
            torch.nn.init.zeros_(part.weight)
        assert layer.offset_conv.bias is not None
        assert layer.modulator_conv.bias is not None
        torch.nn.init.zeros_(layer.modulator_conv.bias)
        layer.offset_conv.bias.data = torch.tensor([0.0, 1.0])  # dy, dx
        x = torch.randn(1, 1, 4, 6)
        expected = layer.regular_conv(torch.nn.functional.pad(x, (0, 1))[..., 1:])
        torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)

    def test_a_change_stays_within_shifted_windows(self):
        torch.manual_seed(0)
        swin = SwinTransformer(SwinSizes(8, (2, 1, 1, 1), (1, 1, 1, 1), 2)).eval()
        x = torch.randn(1, 3, 64, 64)
        changed = x.clone()
        changed[..., :4, :4] += 1
        with torch.no_grad():
            difference = (swin(x)[0] - swin(changed)[0]).abs().sum(1)[0]
        # One window, then a shifted one that reaches over it by one place: never the far edge.
        assert (difference[:3, :3] > 0).all()
        assert difference[3:].max() == difference[:, 3:].max() == 0


class TestOnnx:
    @pytest.fixture(autouse=True)
    def _packages(self):
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")

    def test_its_output_decides(self, tmp_path: Path):
        source = make_segmenter(f"onnx:{write_onnx(tmp_path / 'red.onnx')}")
        assert isinstance(source, SaliencySegmenter)
        image = np.zeros((64, 64, 3), np.uint8)
        image[:, 32:, 0] = 255
        (labels,) = source.segment([image])
        assert labels is not None
        assert (labels[:, 40:] == 1).all()
        assert (labels[:, :24] == 0).all()

    def test_a_network_of_another_form_is_refused(self, tmp_path: Path):
        file = write_onnx(tmp_path / "five.onnx", channels=5)
        with pytest.raises(ModelError, match="instead of one picture"):
            make_segmenter(f"onnx:{file}")

    def test_a_file_of_something_else_is_refused(self, tmp_path: Path):
        (tmp_path / "x.onnx").write_bytes(b"something else")
        with pytest.raises(ModelError, match="onnxruntime cannot load it"):
            make_segmenter(f"onnx:{tmp_path / 'x.onnx'}")


def test_without_onnxruntime_the_way_to_it_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingPackage, match=r"pip install 'seec-archive\[onnx\]'"):
        make_segmenter("onnx:x.onnx")
