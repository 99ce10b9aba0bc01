"""`salient`: the packaged saliency network."""

import json
from functools import partial
from importlib import resources

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError

from seec.pipeline.segmentation.protocol import Saliency
from seec.pipeline.segmentation.saliency import SaliencySegmenter
from seec.pipeline.segmentation.salient_network import SalientNetwork
from seec.schemas.errors import ModelError

NAME = "salient"
WEIGHTS = "salient-1.safetensors"


def load_salient(payload: bytes | None = None, device: str = "cpu") -> SaliencySegmenter:
    """The segmenter behind `salient`.

    payload: an exported weights file; None is the packaged one. The card in the file holds the
    input size and the threshold. Raises ModelError for other bytes.
    """
    if payload is None:
        payload = (resources.files("seec.pipeline.segmentation") / "models" / WEIGHTS).read_bytes()
    network = SalientNetwork().eval()
    network.fold()
    try:
        network.load_state_dict(safetensors.torch.load(payload))
        header = json.loads(payload[8 : 8 + int.from_bytes(payload[:8], "little")])
        card = json.loads(header["__metadata__"]["card"])
        size, threshold = int(card["size"]), float(card["threshold"])
    except (SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"no weights of the network `salient`: {error}") from error
    network = network.to(device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return SaliencySegmenter(NAME, size, partial(_predict, network, device), threshold)


@torch.inference_mode()
def _predict(network: SalientNetwork, device: str, pixels: NDArray[np.float32]) -> Saliency:
    """Mean over the picture and its mirror image: training used both."""
    picture = torch.from_numpy(pixels).to(device)
    logits, _ = network(torch.stack([picture, picture.flip(2)]))
    straight, mirrored = logits[:, 0].sigmoid()
    return ((straight + mirrored.flip(1)) / 2).cpu().numpy()
