"""A network with a trunk: what it sees is known when it is seen, and it learns and goes on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from seec.pipeline.dct import _dct
from seec.pipeline.dct.jpeg import Component
from seec.pipeline.dct.weights import TRUNK
from seec.pipeline.lab.dct import loop, trunk
from seec.pipeline.lab.dct.priming import Primer, Start
from seec.pipeline.lab.dct.sampled import bits_a_value
from seec.pipeline.lab.dct.trunk_network import OUTPUTS, Shape, TrunkNetwork
from seec.pipeline.lab.dct.trunk_samples import HEAD, BlockSamples, batch_of
from tests.vectors.drawn_dct import draw, draw_linear
from tests.vectors.plain_dct_contexts import ZIGZAG

_SMALL = Shape((16, 16), (32, 16))


def _gather(component: Component, share: float = 1.0, most: int = 1000, level: str = ""):
    return Primer(Start(draw_linear(), {}), level).gather([component], share, 1, most)


def _last(component: Component) -> NDArray[np.int64]:
    by_zigzag = component.coefficients.reshape(-1, 64)[:, list(ZIGZAG)]
    by_zigzag[:, 0] = 0
    return np.where(by_zigzag, np.arange(64), 0).max(1)


def test_all_blocks_and_their_coefficients_are_gathered_in_order():
    component = draw("4-2-0")[0]
    blocks, coefficients = _gather(component)
    last = _last(component)
    np.testing.assert_array_equal(blocks[:, -1], last)
    assert len(coefficients) == last.sum()
    at, values = 0, np.ascontiguousarray(coefficients[:, HEAD + 2 :]).view("<i2")[:, 0]
    for block, end in zip(component.coefficients.reshape(-1, 64), last, strict=True):
        positions = np.arange(end, 0, -1)
        rows = slice(at, at + end)
        np.testing.assert_array_equal(coefficients[rows, HEAD], positions)
        np.testing.assert_array_equal(coefficients[rows, HEAD + 1], positions == end)
        np.testing.assert_array_equal(values[rows], block[list(ZIGZAG)][positions])
        at += end


def test_a_share_of_the_blocks_is_gathered_and_no_more_than_there_is_room_for():
    component = draw("4-2-0")[0]
    blocks, coefficients = _gather(component, 0.5)
    assert 0 < len(blocks) < 24
    assert len(coefficients) == blocks[:, -1].sum()
    blocks, coefficients = _gather(component, most=3)
    assert len(blocks) == 3
    assert len(coefficients) == blocks[:, -1].sum()


@pytest.mark.parametrize("level", _dct.levels())
@pytest.mark.parametrize("loud", [1, 20, 3000])
def test_every_instruction_set_sees_the_same(level: str, loud: int):
    component = draw("gray", loud=loud)[0]
    plain = _gather(component, level="portable")
    for one, two in zip(plain, _gather(component, level=level), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("at", [7, 8, 14, 23])
def test_nothing_that_is_seen_follows_what_is_coded(at: int):
    component = draw("4-2-0")[0]
    blocks, coefficients = _gather(component)
    last = _last(component)
    k = last[at] - 1  # of the changed coefficients the first one that is coded
    changed = component.coefficients.copy()
    flat = changed.reshape(-1, 64)
    flat[at, list(ZIGZAG[: k + 1])] += 9
    flat[at + 1 :] += 7
    other_blocks, other = _gather(replace(component, coefficients=changed))
    known = last[:at].sum() + last[at] - k
    np.testing.assert_array_equal(coefficients[:known], other[:known])
    # What is seen of the first changed one is as before; what follows it is not.
    np.testing.assert_array_equal(coefficients[known, :HEAD], other[known, :HEAD])
    assert (coefficients[known + 1, :HEAD] != other[known + 1, :HEAD]).any()
    np.testing.assert_array_equal(blocks[: at + 1, :TRUNK], other_blocks[: at + 1, :TRUNK])
    if at + 1 < len(blocks):
        assert (blocks[at + 1, :TRUNK] != other_blocks[at + 1, :TRUNK]).any()


def test_pixels_around_a_block_are_those_of_its_neighbours():
    step = np.full(64, 4, np.uint16)
    coefficients = np.zeros((2, 3, 64), np.int16)
    coefficients[0, :, 0] = 20  # 10 brighter above than in the block to the left, in pixels
    blocks, _ = _gather(Component(1, 1, step, coefficients))
    above, left = np.split(blocks[4, 976:1048].astype(int) - 128, [48])
    assert set(above) == {-left[0]}
    assert above[0] > 0
    assert (blocks[0, 976:TRUNK] == 128).all()


def test_logits_of_a_head_do_not_see_what_follows_in_the_block():
    blocks, coefficients = _gather(draw("4-2-0")[0])
    batch = batch_of(blocks, coefficients)
    torch.manual_seed(0)
    network = TrunkNetwork(_SMALL, batch)
    logits = network(batch)
    assert logits.shape == (len(batch.value), OUTPUTS)
    k = 5
    batch.own[:, :, : k + 1] = 200
    changed = (network(batch) != logits).any(1)
    later = batch.position < k
    assert not changed[~later].any()
    assert changed[later].any()


def test_exported_integers_give_the_logits_of_a_rounded_network():
    blocks, coefficients = _gather(draw("4-2-0")[0])
    batch = batch_of(blocks, coefficients)
    torch.manual_seed(0)
    network = TrunkNetwork(_SMALL, batch)
    for bias in network.biases():
        torch.nn.init.normal_(bias, 0.3, 0.2)
    network.rounded = True
    layers = network.export()
    position, block = batch.position.numpy(), batch.block.numpy()

    def sums(name: str, x: NDArray[np.uint8], at: NDArray[np.int64] | int = 0):
        layer = layers[name]
        return x.astype(int) @ layer.weight.T.astype(int) + layer.bias[at]

    def hidden(name: str, x: NDArray[np.uint8], at: NDArray[np.int64] | int = 0):
        return np.clip(sums(name, x, at) >> 7, 0, 255)

    handed = hidden("share", hidden("trunk_second", hidden("trunk_first", batch.trunk.numpy())))
    handed = handed.reshape(len(blocks), 64, -1)[block, position]
    known = np.arange(64) > position[:, None]
    signed, sizes = batch.own.numpy().astype(int).transpose(1, 0, 2)
    columns = (batch.features, handed, (signed[block] - 128) * known, sizes[block] * known)
    one = hidden("head_first", np.concatenate(columns, 1), position)
    logits = sums("head_third", hidden("head_second", one), position)
    with torch.no_grad():
        np.testing.assert_array_equal(network(batch).numpy() * 2048, logits[:, :OUTPUTS])
    assert not logits[:, OUTPUTS:].any()


@pytest.fixture
def samples(tmp_path: Path) -> BlockSamples:
    parts = [_gather(draw("4-2-0", seed)[0]) for seed in range(30)]
    blocks, coefficients = (np.concatenate(rows) for rows in zip(*parts, strict=True))
    blocks.tofile(tmp_path / "drawn.blocks")
    coefficients.tofile(tmp_path / "drawn.coefficients")
    blocks[:, -1].tofile(tmp_path / "drawn.last")
    return BlockSamples(tmp_path, "drawn")


def test_training_lowers_bits_and_goes_on_as_if_never_cut_short(
    samples: BlockSamples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings = loop.Settings(24, 2e-3, in_steps=True, rounded_from=0.5)
    monkeypatch.setattr(loop, "_REPORTS", 4)
    all_blocks = samples.batch(np.arange(len(samples)))

    def bits(run: loop.Training[TrunkNetwork]) -> float:
        return bits_a_value(lambda blocks: trunk.code_lengths(run.network, blocks), [all_blocks])

    def train(name: str, report: Callable[[str], None]) -> loop.Training[TrunkNetwork]:
        run = trunk.make_training(settings, _SMALL, samples, tmp_path / name, batch=32)
        starts.append((run.step, bits(run)))
        run.run(lambda: 0.0, report)
        return run

    starts: list[tuple[int, float]] = []
    reports: list[str] = []
    whole = train("whole.pt", reports.append)
    assert bits(whole) < starts[0][1]
    assert len(reports) == 4

    def cut(line: str) -> None:
        if line.startswith("18 steps"):
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_SAVED_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        train("cut.pt", cut)
    again = train("cut.pt", reports.append)
    assert [step for step, _ in starts] == [0, 0, 18]
    for one, two in zip(whole.network.parameters(), again.network.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_a_checkpoint_of_another_shape_is_named(samples: BlockSamples, tmp_path: Path):
    settings = loop.Settings(1, 2e-3, in_steps=True)
    trunk.make_training(settings, _SMALL, samples, tmp_path / "a.pt").run(lambda: 0.0, print)
    with pytest.raises(ValueError, match=r"a\.pt is of a network of another shape"):
        trunk.make_training(settings, Shape((16, 32), (32, 16)), samples, tmp_path / "a.pt")
