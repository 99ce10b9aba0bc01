"""Segmentation sources with small networks of random weights, for tests."""

from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image

from seec.pipeline.segmentation.birefnet_network import BiRefNet, BiRefNetSizes
from seec.pipeline.segmentation.swin import SwinSizes

TINY = BiRefNetSizes(SwinSizes(8, (2, 1, 1, 1), (1, 2, 4, 4), 2), (1, 3))


def write_birefnet(file: Path) -> Path:
    """Random weights with the names and shapes of BiRefNet."""
    torch.manual_seed(0)
    safetensors.torch.save_file(BiRefNet(TINY).state_dict(), file)
    return file


def write_onnx(file: Path, edge: int = 32, channels: int = 3) -> Path:
    """A network whose logit of standing out is the red channel."""
    import onnx
    from onnx import TensorProto, helper

    shape = [1, channels, edge, edge]
    graph = helper.make_graph(
        [
            helper.make_node("Slice", ["picture", "starts", "ends", "axes"], ["red"]),
        ],
        "red",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("red", TensorProto.FLOAT, [1, 1, edge, edge])],
        [
            helper.make_tensor(name, TensorProto.INT64, [1], [value])
            for name, value in (("starts", 0), ("ends", 1), ("axes", 1))
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(file))
    return file


def write_mask(folder: Path, name: str, labels: np.ndarray) -> None:
    """A label map where `masks:FOLDER` finds it."""
    path = (folder / name).with_suffix(".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(path)
