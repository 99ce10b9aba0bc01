"""Training of the network behind `salient`, at the smallest scale."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from seec.pipeline.lab.training import salient
from seec.pipeline.lab.training.salient import (
    Trainer,
    TrainingSettings,
    choose_threshold,
    export_network,
)
from seec.pipeline.lab.training.salient_data import SalientData, load_pairs, split
from seec.pipeline.segmentation.salient import load_salient
from tests.pictures import textured

NAMES = tuple(f"{i:04}" for i in range(4))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ecssd")
    (root / "images").mkdir()
    (root / "masks").mkdir()
    for seed, name in enumerate(NAMES):
        Image.fromarray(textured(60, 80, seed)).save(root / "images" / f"{name}.jpg")
        mask = np.zeros((60, 80), np.uint8)
        mask[20:40, 30:60] = 255
        Image.fromarray(mask).save(root / "masks" / f"{name}.png")
    return root


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(salient, "_SIZES", ((1.0, 48),))


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(folder: Path, tmp_path: Path):
    data = SalientData(folder, NAMES)
    settings = TrainingSettings(steps=4, batch=2)
    whole = Trainer(settings, data)
    list(whole.run(tmp_path / "whole"))
    first = Trainer(settings, data)
    for _ in range(2):
        first._one_step()
    first.save(tmp_path / "half")
    second = Trainer(settings, data)
    second.load(tmp_path / "half")
    list(second.run(tmp_path / "half"))
    for one, other in zip(whole.average.parameters(), second.average.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_exported_weights_label_as_the_network_does(folder: Path):
    trainer = Trainer(TrainingSettings(steps=2, batch=2), SalientData(folder, NAMES))
    trainer._one_step()
    segmenter = load_salient(export_network(trainer.average, {"size": 48, "threshold": 0.5}))
    picture = torch.rand(1, 3, 48, 48)
    with torch.no_grad():
        both = torch.cat([picture, picture.flip(3)])
        straight, mirrored = trainer.average.eval()(both)[0][:, 0].sigmoid()
    expected = (straight + mirrored.flip(1)) / 2
    found = torch.from_numpy(segmenter.predict(picture[0].numpy()))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_the_threshold_is_the_one_of_most_overlap(folder: Path):
    images, masks = load_pairs(folder, NAMES)
    segmenter = load_salient()
    threshold = choose_threshold(segmenter, images, masks)
    assert 0.25 <= threshold <= 0.75


def test_batches_are_pictures_with_masks(folder: Path):
    images, masks = SalientData(folder, NAMES).draw(np.random.default_rng(0), 3, 48, pasted=0.5)
    assert images.shape == (3, 3, 48, 48)
    assert masks.shape == (3, 1, 48, 48)
    assert 0 <= images.min() <= images.max() <= 1
    assert 0.02 < masks.mean() < 0.6


def test_the_split_depends_on_names_alone(folder: Path):
    sides = split(folder)
    assert sorted(sides.training + sides.validation + sides.test) == list(NAMES)
    assert not set(sides.training) & set(sides.validation + sides.test)
