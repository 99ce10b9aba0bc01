"""Label maps in blocks: taken from a segmentation, or chosen by code length (`rate`)."""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint8]
Value = TypeVar("Value", bound=np.generic)

# What a label costs beside its pixels, in 1/256 bit: little where it repeats both
# neighbours, more where it starts something new. Close to what the adaptive model spends.
_SAME, _HALF, _NEW = 60, 300, 700
# Hidden-layer adaptation suits a tile to whichever entropy model it has, and learns less with
# several of them: a change of label must save this many times its own cost.
DEEP_RELUCTANCE = 8


def blocks_from_map(label_map: Labels, shift: int, entropy_models: int) -> Labels:
    """The most frequent label of each block of 2^shift pixels.

    label_map: [H, W] uint8; labels beyond the last entropy model are an error (ValueError).
    Returns [ceil(H / 2^shift), ceil(W / 2^shift)] uint8.
    """
    if label_map.max() >= entropy_models:
        raise ValueError(f"label {label_map.max()} with a model of {entropy_models} entropy models")
    edge = 1 << shift
    counts = []
    for label in range(entropy_models):
        hits = (label_map == label).astype(np.int32)
        rows = np.add.reduceat(hits, np.arange(0, hits.shape[0], edge), 0)
        counts.append(np.add.reduceat(rows, np.arange(0, hits.shape[1], edge), 1))
    return np.stack(counts).argmax(0).astype(np.uint8)


def map_from_blocks(blocks: NDArray[Value], shift: int, height: int, width: int) -> NDArray[Value]:
    """What holds for each pixel, [height, width], from what holds for blocks of 2^shift pixels.

    blocks: [ceil(height / 2^shift), ceil(width / 2^shift)].
    """
    edge = 1 << shift
    return blocks.repeat(edge, 0)[:height].repeat(edge, 1)[:, :width]


def assign_regions(costs: NDArray[np.int64], regions: Labels) -> Labels:
    """For each region the entropy model under which all of it costs least.

    costs: [rows, columns, entropy models]. regions: [rows, columns] uint8, any numbers.
    Returns [rows, columns] uint8.
    """
    labels = np.zeros_like(regions)
    for region in np.unique(regions):
        inside = regions == region
        labels[inside] = costs[inside].sum(0).argmin()
    return labels


def choose_labels(costs: NDArray[np.int64], reluctance: int = 1) -> Labels:
    """The labels of least code length, their own cost estimated from their neighbours.

    costs: [rows, columns, entropy models] in 1/256 bit. reluctance: how many times the cost of a
    label counts. Integers only, so that the bytes of a file are the same on every machine.
    Returns [rows, columns] uint8.
    """
    rows, columns, entropy_models = costs.shape
    if entropy_models == 1:
        return np.zeros((rows, columns), np.uint8)
    surprise = np.full((entropy_models + 1, entropy_models + 1, entropy_models), _NEW)
    for label in range(entropy_models):
        surprise[label, :, label] = surprise[:, label, label] = _HALF
        surprise[label, label, label] = _SAME
    surprise[entropy_models, entropy_models] = _HALF
    surprise *= reluctance
    labels = np.empty((rows, columns), np.uint8)
    north = [entropy_models] * columns
    for y in range(rows):
        west = entropy_models
        for x in range(columns):
            west = int((costs[y, x] + surprise[west, north[x]]).argmin())
            north[x] = labels[y, x] = west
    return labels
