"""`onnx:FILE`: any saliency network in ONNX."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.extras import needs
from seec.pipeline.segmentation.protocol import Saliency
from seec.pipeline.segmentation.saliency import SaliencySegmenter, normalised
from seec.schemas.errors import ModelError

_DEFAULT_SIZE = 320  # for files that leave the size of the input open


def load_onnx(path: Path) -> SaliencySegmenter:
    """A segmenter that runs an ONNX file on the CPU.

    The network takes [1, 3, S, S] float32, normalised as for ImageNet; its first output is
    saliency, [1, 1, h, w] or [1, h, w], as probabilities or logits. Raises MissingPackage
    without onnxruntime, ModelError if the file is missing or the network has another form.
    """
    with needs("onnx", "--segmentation onnx"):
        import onnxruntime
    if not path.is_file():
        raise ModelError(f"{path}: no such ONNX file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"{path}: onnxruntime cannot load it, {error}") from error
    size = _input_size(path, session)
    segmenter = SaliencySegmenter(f"onnx:{path}", size, partial(_predict, path, session))
    segmenter.predict(np.zeros((3, size, size), np.float32))
    return segmenter


def _input_size(path: Path, session: Any) -> int:
    inputs = session.get_inputs()
    shape = inputs[0].shape
    fits = len(inputs) == 1 and inputs[0].type == "tensor(float)" and len(shape) == 4
    open_or = [edge if isinstance(edge, int) else None for edge in shape]
    if not fits or open_or[0] not in (1, None) or open_or[1] not in (3, None):
        raise ModelError(f"{path}: takes {shape} instead of one picture, [1, 3, S, S] float32")
    height, width = open_or[2:]
    if height != width:
        raise ModelError(f"{path}: takes pictures of {width} x {height}; they have to be square")
    return height or _DEFAULT_SIZE


def _predict(path: Path, session: Any, pixels: NDArray[np.float32]) -> Saliency:
    try:
        out = session.run(None, {session.get_inputs()[0].name: normalised(pixels)[None]})[0]
    except Exception as error:
        raise ModelError(f"{path}: onnxruntime cannot run it, {error}") from error
    saliency = np.asarray(out, np.float32)
    if saliency.ndim not in (3, 4) or saliency.size != saliency.shape[-1] * saliency.shape[-2]:
        raise ModelError(f"{path}: gives {saliency.shape} instead of one map")
    saliency = saliency.reshape(saliency.shape[-2:])
    if saliency.min() < 0 or saliency.max() > 1:
        saliency = 1 / (1 + np.exp(-saliency))
    return saliency.astype(np.float32)
