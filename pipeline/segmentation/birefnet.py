"""`birefnet:PATH`: the paper's segmentation network, with weights of the user."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from seec.pipeline.segmentation.birefnet_network import BiRefNet, BiRefNetSizes
from seec.pipeline.segmentation.protocol import Saliency
from seec.pipeline.segmentation.saliency import SaliencySegmenter, normalised
from seec.pipeline.segmentation.swin import SwinSizes
from seec.schemas.errors import ModelError

IN_FOLDER = "model.safetensors"
_SIZE = 1024  # at which the published weights were trained
_STAGES = 4


def load_birefnet(path: Path, device: str = "cpu") -> SaliencySegmenter:
    """A segmenter that runs BiRefNet.

    path: a safetensors file, or a folder with model.safetensors, as published by the authors. The
    shapes of the tensors give the sizes (lite or large). Raises ModelError if the file is missing,
    or if its tensors are not exactly the network's.
    """
    file = path / IN_FOLDER if path.is_dir() else path
    if not file.is_file():
        raise ModelError(f"{file}: no BiRefNet weights there; they are not part of this package")
    try:
        weights = {name: t.float() for name, t in safetensors.torch.load_file(file).items()}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file}: not a safetensors file, {error}") from error
    network = _network(file, weights)
    network.to(device)
    return SaliencySegmenter(f"birefnet:{path}", _SIZE, partial(_predict, network, device))


def _network(file: Path, weights: Mapping[str, Tensor]) -> BiRefNet:
    """The network with these weights. ModelError for a missing, extra or misshapen tensor."""
    try:
        with torch.device("meta"):
            network = BiRefNet(sizes_of(weights))
        network.load_state_dict(dict(weights), assign=True)
    except (KeyError, ValueError, RuntimeError) as error:
        raise ModelError(f"{file}: not the tensors of BiRefNet, {error}") from error
    for module in network.modules():
        for name, index in module.named_buffers(recurse=False):
            if name == "relative_position_index":
                module.register_buffer(name, index.long())
    return network.eval().requires_grad_(False)


def sizes_of(weights: Mapping[str, Tensor]) -> BiRefNetSizes:
    """The sizes of a network by the shapes of its tensors. KeyError for a missing tensor."""
    depths = tuple(_count(weights, f"bb.layers.{stage}.blocks.") for stage in range(_STAGES))
    tables = [
        weights[f"bb.layers.{stage}.blocks.0.attn.relative_position_bias_table"]
        for stage in range(_STAGES)
    ]
    window = (round(len(tables[0]) ** 0.5) + 1) // 2
    width = len(weights["bb.patch_embed.proj.bias"])
    backbone = SwinSizes(width, depths, tuple(table.shape[1] for table in tables), window)
    deformable = "decoder.decoder_block4.dec_att.aspp_deforms."
    kernels = tuple(
        weights[f"{deformable}{unit}.atrous_conv.regular_conv.weight"].shape[-1]
        for unit in range(_count(weights, deformable))
    )
    return BiRefNetSizes(backbone, kernels)


def _count(weights: Mapping[str, Tensor], prefix: str) -> int:
    """The number of numbered modules with this prefix."""
    return len({n.removeprefix(prefix).partition(".")[0] for n in weights if n.startswith(prefix)})


@torch.inference_mode()
def _predict(network: BiRefNet, device: str, pixels: NDArray[np.float32]) -> Saliency:
    logits = network(torch.from_numpy(normalised(pixels))[None].to(device))
    return logits[0, 0].sigmoid().cpu().numpy()
