"""How the torch kernels use a network: of a model, of a tile group, of some of its pixels."""

from typing import Protocol

from torch import Tensor

from seec.pipeline.codec.coding.distribution import Mixture
from seec.pipeline.codec.coding.tiles import GroupCanvas
from seec.pipeline.codec.network.parts import Part


class ChannelModel(Protocol):
    """The distributions of n pixels, channel by channel, under entropy models."""

    def mixture(self, channel: int, pixel: Tensor, width: Tensor | None = None) -> Mixture:
        """The mixtures of one channel.

        pixel: [n, 3] int32, of which the channels before this one are known. width: [n] int32, of
        the bins; None is 1, lossless.
        """
        ...


class StepModel(Protocol):
    """The network's features of n pixels."""

    def channel_model(self, label: int | None = None) -> ChannelModel:
        """The distributions under one entropy model; None takes that of each pixel's label."""
        ...

    def learn(self, pixel: Tensor) -> None:
        """Adapt to the pixels [n, 3] int32. The next step may be modelled only afterwards."""
        ...


class Reader(Protocol):
    """A network on its way through a tile group."""

    def model_of(self, part: Part) -> StepModel:
        """The features of some pixels, from those coded before them."""
        ...


class IntegerNetwork(Protocol):
    """The network of a model on a device."""

    def follow(self, group: GroupCanvas) -> Reader:
        """For a group whose steps come one by one, each to be learnt from."""
        ...

    def recall(self, group: GroupCanvas) -> Reader:
        """For a full canvas: any of its steps at once, in any order."""
        ...
