"""The layers of a network with predictors, as a model file has them."""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import torch
from torch import Tensor

from seec.pipeline.codec.model.weights import Model
from seec.pipeline.codec.network.inputs import NetworkInputs, context_inputs
from seec.pipeline.codec.network.layers import Layers, leak


class AdaptiveLayers:
    """Context, fusion and, channel by channel, entropy models; activations travel as `carrier`."""

    def __init__(self, model: Model, device: str, carrier: torch.dtype):
        layers = Layers(model, device, carrier)
        self.profile, self.tables, self.carrier = model.profile, layers.tables, carrier
        self._context, self._fusion = layers.single("context"), layers.single("fusion")
        self._hidden = [layers.entropy_models(f"hidden_{name}") for name in "rgb"]
        self._output = [layers.entropy_models(f"output_{name}") for name in "rgb"]

    def context(self, inputs: NetworkInputs) -> Tensor:
        """Features of the context layer, [n, width]."""
        return leak(
            self._context(context_inputs(inputs, self.tables).to(self.carrier)), self.carrier
        )

    def fused(self, inputs: NetworkInputs) -> Tensor:
        """Fused features [n, fused]."""
        return leak(self._fusion(self.context(inputs)), self.carrier)

    def mixture_params(self, channel: int, label: int, features: Tensor) -> Tensor:
        """Mixture parameters of a channel, [n, 3 K + P + c] int32.

        features: [n, fused + head inputs], as hidden features.
        """
        return self.output(channel, label, self.hidden(channel, label, features))

    def hidden(self, channel: int, label: int, features: Tensor) -> Tensor:
        """Hidden features of a channel, [n, hidden] int32."""
        return leak(self._hidden[channel][label](features), torch.int32)

    def output(self, channel: int, label: int, hidden: Tensor) -> Tensor:
        """Mixture parameters from hidden features."""
        return self._output[channel][label](hidden.to(self.carrier))
