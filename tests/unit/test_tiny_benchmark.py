"""The sets of very small images, and what peers make of them."""

import gzip
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seec.pipeline.lab.benchmark.tiny import optimised_png, peers
from seec.pipeline.lab.benchmark.tiny_sets import idx_images, thumbnails, write
from tests.pictures import gray, textured
from tests.sources import image_bytes


def test_an_idx_file_becomes_its_images(tmp_path: Path):
    images = np.stack([gray(5, 7, seed) for seed in range(3)])
    data = struct.pack(">4I", 0x803, *images.shape) + images.tobytes()
    assert np.array_equal(idx_images(gzip.compress(data)), images)
    write(idx_images(data), tmp_path / "set")
    for number, path in enumerate(sorted((tmp_path / "set").iterdir())):
        with Image.open(path) as image:
            assert np.array_equal(np.asarray(image), images[number])
    with pytest.raises(ValueError, match="no IDX file"):
        idx_images(struct.pack(">4I", 0x801, 1, 1, 1))


def test_thumbnails_are_of_all_photographs_in_turn(tmp_path: Path):
    for name, level in (("a", 10), ("b", 200)):
        Image.new("RGB", (60, 40), (level,) * 3).save(tmp_path / f"{name}.png")
    made = list(thumbnails(sorted(tmp_path.iterdir()), 8, 4))
    assert [(one.shape, int(one[0, 0, 0])) for one in made] == [
        ((8, 8, 3), level) for level in (10, 200, 10, 200)
    ]


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_an_optimised_png_is_never_larger(mode: str):
    data = image_bytes(Image.fromarray(textured(20, 30)).convert(mode), "PNG")
    with Image.open(io.BytesIO(data)) as image:
        assert 0 < optimised_png(image, data) <= len(data)
    rows = np.tile(np.arange(64, dtype=np.uint8) * 3, (64, 1))  # filtered by Sub all are equal
    with Image.open(io.BytesIO(image_bytes(rows, "PNG"))) as image:
        assert optimised_png(image, bytes(5000)) < 57 + 60


def test_peers_of_many_files_are_scaled_up(monkeypatch: pytest.MonkeyPatch):
    data = image_bytes(gray(9, 9), "PNG")
    monkeypatch.setattr("seec.pipeline.lab.benchmark.tiny._MOST_FILES", 2)
    few, many = dict(peers([data])), dict(peers([data] * 6))
    assert many == {name: 6 * size for name, size in few.items()}
