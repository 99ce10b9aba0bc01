"""Where encoders run: on processors and, where those are faster by measurement, on GPUs, too."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from seec.pipeline.codec import Encoder, Model, load_model
from seec.pipeline.stages.executor import Executor, Placement, Task
from seec.schemas.errors import SeecError

AUTO, CPU, CUDA = DEVICES = ("auto", "cpu", "cuda")
_PICTURES, _SIDE = 4, 256  # together about a second of `lite` on a processor and on a GPU
_WAIT_S = 300.0  # for a GPU that is free, and a worker on its machine
# Of one GPU: an encoder, and a segmenter beside it.
_ENCODER_SHARE, _SEGMENTER_SHARE = 0.75, 0.25


@dataclass(frozen=True)
class Speeds:
    """Megapixels a second of one encoder with the model of a run."""

    processor: float
    gpu: float


def choose(
    placement: Placement, device: str, measured: Callable[[], Speeds | str]
) -> tuple[Placement, str]:
    """The placement with its encoders on the devices to use, and a line that says why.

    device: one of DEVICES. measured: asked only where both kinds are there and `device` leaves
    the choice; gives the reason where there is no measurement. Without GPUs, or with CPU, the line
    is empty. A GPU takes the place of one processor, which feeds it; the other processors encode
    beside the GPUs.
    """
    if device == CPU or not placement.gpus:
        if device == CUDA:
            raise SeecError("there is no GPU in the cluster; leave --device out, or give cpu")
        return replace(placement, gpus=0), ""
    if device == CUDA:
        return _with_gpus(placement, 0), f"encoding on {placement.gpus} GPUs, as asked for"
    speeds = measured()
    if isinstance(speeds, str):
        return replace(placement, gpus=0), f"encoding on {placement.cpus} CPUs: {speeds}"
    compared = f"a GPU encodes {speeds.gpu:.2f} MP/s, a CPU {speeds.processor:.2f}"
    if speeds.gpu <= speeds.processor:
        return replace(placement, gpus=0), f"encoding on {placement.cpus} CPUs: {compared}"
    beside = max(0, placement.cpus - placement.gpus)
    line = f"encoding on {placement.gpus} GPUs and {beside} CPUs: {compared}"
    return _with_gpus(placement, beside), line


def _with_gpus(placement: Placement, beside: int) -> Placement:
    """Encoders on all GPUs, and on so many processors beside them."""
    gpu = {"num_gpus": _ENCODER_SHARE}
    return replace(
        placement,
        encoders=placement.gpus + beside,
        segmenters=placement.gpus,
        gpu_encoder_options={**placement.encoder_options, **gpu},
        segmenter_options={"num_cpus": 0, "num_gpus": _SEGMENTER_SHARE},
    )


def measure(executor: Executor, model: Model) -> Speeds | str:
    """Speeds on a machine of the cluster that has a GPU; the reason where that does not work."""
    ticket = executor.submit(_MEASURE, model.payload)
    try:
        if not executor.wait([ticket], _WAIT_S):
            return f"no GPU was free for {_WAIT_S:.0f} s"
        return executor.result(ticket)
    except (SeecError, ImportError, RuntimeError) as error:  # as torch raises them
        return f"a GPU does not work ({' '.join(str(error).split())})"
    finally:
        executor.cancel([ticket])


def measured_speeds(payload: bytes) -> Speeds:
    """Encode the same pictures on a processor and on a GPU of this machine. payload: of a model."""
    model = load_model(payload)
    return Speeds(speed(Encoder(model)), speed(Encoder(model, CUDA)))


def speed(encoder: Encoder) -> float:
    """Megapixels a second of an encoder, of the second time: the first one loads much."""
    y, x = np.mgrid[:_SIDE, :_SIDE][..., None]
    smooth = 128 + 60 * np.sin(x / 17 + np.arange(3)) + 40 * np.cos(y / 29)
    noise = np.random.default_rng(0).normal(0, 4, (_PICTURES, _SIDE, _SIDE, 3))
    pictures = list((smooth + noise).clip(0, 255).astype(np.uint8))
    encoder.encode_batch([pictures[0][:64, :64]], [None])
    start = time.perf_counter()
    encoder.encode_batch(pictures, [None] * _PICTURES)
    return _PICTURES * _SIDE**2 / 1e6 / (time.perf_counter() - start)


_MEASURE = Task(measured_speeds, gpus=_ENCODER_SHARE)
