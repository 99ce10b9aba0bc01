"""Train the network behind `salient`, resumable, within a budget; export its weights."""

import copy
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as f
from numpy.typing import NDArray
from torch import Tensor

from seec.pipeline.lab.training.run import RunState, Schedule
from seec.pipeline.lab.training.salient_data import SalientData
from seec.pipeline.segmentation.saliency import SaliencySegmenter
from seec.pipeline.segmentation.salient_network import SalientNetwork

_CHECKPOINT_S = 60.0
# Until which share of the run batches have which edge: small first, because it is cheap.
_SIZES = ((0.4, 112), (0.8, 144), (1.0, 192))
_PASTED_UNTIL = 0.85
_THRESHOLDS = tuple(step / 40 for step in range(10, 31))


@dataclass(frozen=True)
class TrainingSettings(Schedule):
    """How a run goes; pasted: share of objects put on another background."""

    steps: int = 4_000
    budget_s: float | None = None
    learning_rate: float = 1.5e-3
    average: float = 0.997
    batch: int = 16
    weight_decay: float = 0.05
    pasted: float = 0.3
    seed: int = 1
    report_every: int = 100


@dataclass(frozen=True)
class Progress:
    """What the last steps saw: mean loss; seconds of training so far."""

    step: int
    loss: float
    seconds: float


class Trainer(RunState[SalientNetwork]):
    """A run that trains the network; see RunState for its state."""

    def __init__(self, settings: TrainingSettings, data: SalientData):
        torch.manual_seed(settings.seed)
        self.settings, self.data = settings, data
        network = SalientNetwork()
        network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        optimiser = torch.optim.AdamW(network.parameters(), weight_decay=settings.weight_decay)
        super().__init__(network, optimiser, settings, settings.seed)

    def run(self, checkpoint: Path) -> Iterator[Progress]:
        """Train to the end, yielding now and then; writes checkpoints."""
        losses: list[float] = []
        saved_s = self.seconds
        while not self.done:
            started = time.perf_counter()
            losses.append(self._one_step())
            self.seconds += time.perf_counter() - started
            if self.step % self.settings.report_every == 0 or self.done:
                yield Progress(self.step, float(np.mean(losses)), self.seconds)
                losses.clear()
            if self.seconds - saved_s > _CHECKPOINT_S:
                self.save(checkpoint)
                saved_s = self.seconds
        self.save(checkpoint)

    def _one_step(self) -> float:
        s, progress = self.settings, self.progress
        size = next(size for until, size in _SIZES if progress <= until)
        pasted = s.pasted if progress < _PASTED_UNTIL else 0.0
        images, masks = self.data.draw(self.rng, s.batch, size, pasted)
        return self.descend(saliency_loss(self.network(images), masks))


def saliency_loss(logits: tuple[Tensor, Tensor], masks: Tensor) -> Tensor:
    """Cross-entropy plus soft intersection over union, and half as much on the rough logits.

    logits: as SalientNetwork returns them. masks: [B, 1, H, W] float32 in 0 .. 1.
    """
    sharp, rough = logits
    return _loss(sharp, masks) + 0.5 * _loss(rough, masks)


def _loss(logits: Tensor, masks: Tensor) -> Tensor:
    target = f.avg_pool2d(masks, masks.shape[2] // logits.shape[2])
    chance = logits.sigmoid()
    both = (chance * target).sum((1, 2, 3))
    either = (chance + target - chance * target).sum((1, 2, 3))
    overlap = (both + 1) / (either + 1)
    return f.binary_cross_entropy_with_logits(logits, target) + (1 - overlap).mean()


def choose_threshold(
    segmenter: SaliencySegmenter,
    images: Sequence[NDArray[np.uint8]],
    masks: Sequence[NDArray[np.bool_]],
) -> float:
    """The threshold with the largest mean intersection over union on these images.

    images: each [H, W, 3] uint8; masks: [H, W] bool.
    """
    maps = [segmenter.saliency(image) for image in images]

    def mean_overlap(threshold: float) -> float:
        found = [np.asarray(m >= threshold) for m in maps]
        both = [np.count_nonzero(f & mask) for f, mask in zip(found, masks, strict=True)]
        either = [np.count_nonzero(f | mask) for f, mask in zip(found, masks, strict=True)]
        return float(np.mean(np.array(both) / np.maximum(either, 1)))

    return max(_THRESHOLDS, key=mean_overlap)


def export_network(network: SalientNetwork, card: Mapping[str, Any]) -> bytes:
    """A safetensors file of the network, batch norms folded, its card in the metadata."""
    folded = copy.deepcopy(network).eval()
    folded.fold()
    tensors = {name: t.contiguous() for name, t in folded.state_dict().items()}
    return safetensors.torch.save(tensors, {"card": json.dumps(card, sort_keys=True)})
