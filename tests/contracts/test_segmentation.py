"""What every segmentation source keeps to."""

from pathlib import Path

import numpy as np
import pytest

from seec.pipeline.segmentation import Segmenter, birefnet, make_segmenter
from tests.pictures import gray, textured
from tests.segmenters import write_birefnet, write_mask, write_onnx

IMAGES = {
    "rgb.png": textured(70, 90),
    "sub/gray.png": gray(33, 47),
    "pixel.png": textured(1, 1),
    "strip.png": textured(3, 400),
}
SOURCES = ("none", "rate", "salient", "masks", "birefnet", "onnx")


@pytest.fixture(scope="module", params=[*SOURCES, *(f"{s}+rate" for s in SOURCES if s != "rate")])
def segmenter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    source, plus, rate = request.param.partition("+")
    folder: Path = tmp_path_factory.mktemp(source)
    if source == "masks":
        for name, image in IMAGES.items():
            write_mask(folder, name, np.arange(image.shape[0] * image.shape[1], dtype=np.uint8)
                       .reshape(image.shape[:2]) % 3)  # fmt: skip
        source = f"masks:{folder}"
    elif source == "birefnet":
        source = f"birefnet:{write_birefnet(folder / 'model.safetensors').parent}"
    elif source == "onnx":
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
        source = f"onnx:{write_onnx(folder / 'red.onnx')}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(birefnet, "_SIZE", 64)  # the published size takes seconds an image
        return make_segmenter(source + plus + rate)


def test_its_name_makes_it_again(segmenter: Segmenter):
    assert make_segmenter(segmenter.name).name == segmenter.name


def test_every_image_gets_a_map_of_its_size_or_the_encoder_decides(segmenter: Segmenter):
    maps = segmenter.segment(list(IMAGES.values()), list(IMAGES))
    assert len(maps) == len(IMAGES)
    for image, labels in zip(IMAGES.values(), maps, strict=True):
        if segmenter.name == "rate":
            assert labels is None
        else:
            assert labels is not None
            assert labels.dtype == np.uint8
            assert labels.shape == image.shape[:2]
            assert labels.max() < (segmenter.labels or 16)


def test_a_map_does_not_depend_on_the_batch(segmenter: Segmenter):
    together = segmenter.segment(list(IMAGES.values()), list(IMAGES))
    for (name, image), labels in zip(IMAGES.items(), together, strict=True):
        (alone,) = segmenter.segment([image], [name])
        if alone is None or labels is None:
            assert alone is labels
        else:
            assert np.array_equal(alone, labels)


def test_only_sources_with_rate_behind_them_propose(segmenter: Segmenter):
    assert segmenter.proposes == segmenter.name.endswith("+rate")


def test_an_empty_batch_is_no_error(segmenter: Segmenter):
    assert segmenter.segment([], []) == []
