"""The trainable SEEC networks; quantised.py says how training sees the decoder's integers."""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seec.pipeline.codec.model.profile import (
    CHANNELS,
    HIDDEN_BITS,
    INPUT_BITS,
    INPUTS,
    OUTPUT_BITS,
    Profile,
)
from seec.pipeline.codec.model.weights import PredictorStart
from seec.pipeline.codec.training.quantised import IntegerLinear, leaky
from seec.pipeline.codec.training.sic import SideNetwork


class SeecNetwork(nn.Module):
    """Context, fusion and entropy models (SMEM): inputs to mixture parameters.

    The masked convolution is a matrix product over the gathered causal taps. side: SIC, which
    gives the fusion its other features, in profiles that have it.
    """

    def __init__(self, profile: Profile):
        super().__init__()
        self.profile = profile
        p = profile
        self.context = IntegerLinear(INPUTS, p.width, INPUT_BITS, HIDDEN_BITS, 1)
        self.fusion = IntegerLinear(p.width + p.features, p.fused, HIDDEN_BITS, HIDDEN_BITS, 1)
        self.hidden = IntegerLinear(p.fused, p.hidden, HIDDEN_BITS, HIDDEN_BITS, p.entropy_models)
        self.output = IntegerLinear(p.hidden, p.outputs, HIDDEN_BITS, OUTPUT_BITS, p.entropy_models)
        self.side = SideNetwork(p.side) if p.side else None
        self._spread_components()

    def _spread_components(self) -> None:
        """Start with a sensible mixture: means spread around the prediction."""
        k = self.profile.mixtures
        with torch.no_grad():
            self.output.weight.mul_(0.3)
            bias = self.output.bias.view(-1, 12, k)
            bias[:, 3:6] = torch.linspace(-0.3, 0.3, k)
            bias[:, 6:9] = -0.25

    def features(self, inputs: Tensor, side: Tensor | None = None) -> Tensor:
        """Fused features [pixels, fused].

        inputs: [pixels, 72], network inputs / 32. side: [pixels, features], those of SIC.
        """
        context = leaky(self.context(inputs))
        return leaky(self.fusion(context if side is None else torch.cat([context, side], -1)))

    def mixture_params(self, features: Tensor, label: int | Tensor) -> Tensor:
        """Mixture parameters [pixels, 12 K].

        label: the entropy model of all pixels; or [runs] int64, where each is that of so many
        equal runs of pixels.
        """
        return self.output(leaky(self.hidden(features, label)), label)

    def entropy_layers(self) -> list[IntegerLinear]:
        """The layers that every entropy model has for itself."""
        return [self.hidden, self.output]

    def beta_rows(self) -> list[tuple[IntegerLinear, int]]:
        """Layers that give beta, and the row from which on they do."""
        return [(self.output, 3 * CHANNELS * self.profile.mixtures)]


class AdaptiveNetwork(nn.Module):
    """The network beside local least-squares predictors: inputs to mixture parameters.

    Each entropy model is in three parts, one for each channel; those of G and B see head numbers
    as well, which tell of the channels before them. starts: what the predictors know at first,
    which goes into the model file.
    """

    side = None  # it has no SIC

    def __init__(self, profile: Profile, starts: Sequence[PredictorStart]):
        super().__init__()
        self.profile = profile
        p = profile
        self.context = IntegerLinear(p.inputs, p.width, INPUT_BITS, HIDDEN_BITS, 1)
        self.fusion = IntegerLinear(p.width, p.fused, HIDDEN_BITS, HIDDEN_BITS, 1)
        self.hidden_r, self.hidden_g, self.hidden_b = (
            IntegerLinear(p.fused + heads, p.hidden, HIDDEN_BITS, HIDDEN_BITS, p.entropy_models)
            for heads in p.head_inputs
        )
        self.output_r, self.output_g, self.output_b = (
            IntegerLinear(p.hidden, outputs, HIDDEN_BITS, OUTPUT_BITS, p.entropy_models)
            for outputs in p.channel_outputs
        )
        for number, start in enumerate(starts):
            self.register_buffer(f"predictor_{number}_prior", torch.from_numpy(start.prior))
            self.register_buffer(f"predictor_{number}_start", torch.from_numpy(start.start))
        self._spread_components()

    def _spread_components(self) -> None:
        """Start with a sensible mixture: means spread around the mean of the predictors."""
        k, predictors = self.profile.mixtures, len(self.profile.predictors)
        with torch.no_grad():
            for _, output in self._channels():
                output.weight.mul_(0.2)
                output.bias[:, k : 2 * k] = torch.linspace(-0.3, 0.3, k)
                output.bias[:, 2 * k : 3 * k] = -0.25
                output.bias[:, 3 * k : 3 * k + predictors] = 1 / predictors

    def _channels(self) -> list[tuple[IntegerLinear, IntegerLinear]]:
        return [
            (self.hidden_r, self.output_r),
            (self.hidden_g, self.output_g),
            (self.hidden_b, self.output_b),
        ]

    def starts(self) -> list[PredictorStart]:
        """What each predictor knows at first."""
        buffers = dict(self.named_buffers())
        return [
            PredictorStart(
                buffers[f"predictor_{number}_prior"].cpu().numpy(),
                buffers[f"predictor_{number}_start"].cpu().numpy(),
            )
            for number in range(len(self.profile.predictors))
        ]

    def features(self, inputs: Tensor) -> Tensor:
        """Fused features and head numbers [pixels, fused + head inputs].

        inputs: [pixels, inputs + head inputs], network inputs / 32, then head numbers / 32.
        """
        seen, heads = inputs.split([self.profile.inputs, sum(self.profile.head_inputs)], -1)
        return torch.cat([leaky(self.fusion(leaky(self.context(seen)))), heads], -1)

    def mixture_params(self, features: Tensor, label: int | Tensor) -> Tensor:
        """Mixture parameters [pixels, outputs], channel by channel; label as in SeecNetwork."""
        fused, *heads = features.split([self.profile.fused, *self.profile.head_inputs], -1)
        channels = zip(self._channels(), heads, strict=True)
        params = [
            output(leaky(hidden(torch.cat([fused, own], -1), label)), label)
            for (hidden, output), own in channels
        ]
        return torch.cat(params, -1)

    def entropy_layers(self) -> list[IntegerLinear]:
        """The layers that every entropy model has for itself."""
        return [layer for pair in self._channels() for layer in pair]

    def beta_rows(self) -> list[tuple[IntegerLinear, int]]:
        """Layers that give beta, and the row from which on they do."""
        first = 3 * self.profile.mixtures + len(self.profile.predictors)
        return [(self.output_g, first), (self.output_b, first)]
