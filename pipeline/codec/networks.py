"""The trainable SEEC networks; quantised.py says how training sees the decoder's integers."""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import torch
from torch import Tensor, nn

from pipeline.codec.profile import HIDDEN_BITS, INPUT_BITS, INPUTS, OUTPUT_BITS, Profile
from pipeline.codec.quantised import IntegerLinear, leaky
from pipeline.codec.side_networks import SideNetwork


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
        self.expert_hidden = IntegerLinear(
            p.fused, p.expert_hidden, HIDDEN_BITS, HIDDEN_BITS, p.experts
        )
        self.expert_output = IntegerLinear(
            p.expert_hidden, p.outputs, HIDDEN_BITS, OUTPUT_BITS, p.experts
        )
        self.side = SideNetwork(p) if p.latents else None
        self._spread_components()

    def _spread_components(self) -> None:
        """Start with a sensible mixture: means spread around the prediction."""
        k = self.profile.mixtures
        with torch.no_grad():
            self.expert_output.weight.mul_(0.3)
            bias = self.expert_output.bias.view(-1, 12, k)
            bias[:, 3:6] = torch.linspace(-0.3, 0.3, k)
            bias[:, 6:9] = -0.25

    def features(self, inputs: Tensor, side: Tensor | None = None) -> Tensor:
        """Fused features [pixels, fused].

        inputs: [pixels, 72], network inputs / 32. side: [pixels, features], those of SIC.
        """
        context = leaky(self.context(inputs))
        return leaky(self.fusion(context if side is None else torch.cat([context, side], -1)))

    def expert(self, features: Tensor, label: int) -> Tensor:
        """Mixture parameters [pixels, 12 K] of one entropy model."""
        return self.expert_output(leaky(self.expert_hidden(features, label)), label)
