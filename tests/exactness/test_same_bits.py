"""The same bytes and the same pixels whatever the machine does."""

import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import torch

from seec.pipeline.codec import Encoder, Model, decode, default_model, load_model
from seec.pipeline.codec.kernels import native_available
from seec.pipeline.codec.model.profile import OUTPUT_BITS, Profile
from seec.pipeline.codec.model.tables import build_tables
from seec.pipeline.codec.native import kernels as native
from seec.pipeline.codec.network.plain import PlainNetwork
from seec.pipeline.codec.network.torch_kernels import TorchKernels
from seec.pipeline.codec.training.networks import SeecNetwork
from seec.pipeline.lab.training.data import make_batch
from tests.pictures import gray, textured
from tests.vectors.drawn import draw_model

IMAGES = [textured(90, 70, 1), gray(33, 64, 2), textured(5, 40, 3)]
UNLABELLED = [None] * len(IMAGES)


def blobs(
    device: str = "cpu", threads: int = 1, model: Model | None = None, **options
) -> list[bytes]:
    encoder = Encoder(model or default_model(), device, threads, tile_size=48, **options)
    return encoder.encode_batch(IMAGES, UNLABELLED)


@pytest.fixture(scope="module")
def expected() -> list[bytes]:
    return blobs()


def test_the_c_kernels_are_built_here():
    assert native_available(), "install with a C compiler to test both kernels"


def test_torch_kernels_write_the_bytes_of_the_c_kernels(expected):
    assert blobs("torch:cpu") == expected


def test_torch_kernels_read_what_the_c_kernels_wrote(expected):
    for blob, image in zip(expected, IMAGES, strict=True):
        assert (decode(blob, device="torch:cpu") == image).all()


def test_torch_kernels_decode_many_groups_together():
    """Groups of several shapes, more than go through at once, some raw."""
    image = textured(130, 150)
    image[:16, :16] = np.random.default_rng(0).integers(0, 256, (16, 16, 3))
    for per_group in (1, 3):
        encoder = Encoder(default_model(), tile_size=16, tiles_per_group=per_group)
        (blob,) = encoder.encode_batch([image], [None])
        assert (decode(blob, device="torch:cpu") == image).all()


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_do_not_change_bytes_or_pixels(expected, threads):
    assert blobs(threads=threads) == expected
    for blob, image in zip(expected, IMAGES, strict=True):
        assert (decode(blob, threads=threads) == image).all()


def test_a_batch_of_one_gives_the_bytes_of_a_batch_of_many(expected):
    encoder = Encoder(default_model(), tile_size=48)
    assert [encoder.encode_batch([i], [None])[0] for i in IMAGES] == expected
    assert encoder.encode_batch(IMAGES[::-1], UNLABELLED)[::-1] == expected


@pytest.mark.parametrize("carrier", [torch.float32, torch.float64])
def test_carriers_and_torch_threads_do_not_change_bytes(expected, carrier, monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(2)  # others have one
    monkeypatch.setattr(
        "seec.pipeline.codec.encoder.make_kernels",
        lambda model, device: TorchKernels(model, "cpu", carrier),
    )
    encoder = Encoder(default_model(), tile_size=48)
    try:
        assert encoder.encode_batch(IMAGES[1:], UNLABELLED[1:]) == expected[1:]
    finally:
        torch.set_num_threads(before)


_CHILD = """
import hashlib
from tests.exactness.test_same_bits import IMAGES, blobs
from seec.pipeline.codec import decode
written = blobs({device!r})
for blob, image in zip(written, IMAGES):
    assert (decode(blob, device={device!r}) == image).all()
print(hashlib.sha256(b"".join(written)).hexdigest())
"""


@pytest.mark.parametrize("device", ["cpu", "torch:cpu"])
def test_other_instruction_sets_write_the_same_bytes(expected, device):
    environment = os.environ | {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", _CHILD.format(device=device)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == hashlib.sha256(b"".join(expected)).hexdigest()


def _use(monkeypatch, kernels_of) -> None:
    for module in ("encoder", "decoder"):
        monkeypatch.setattr(
            f"seec.pipeline.codec.{module}.make_kernels", lambda model, device: kernels_of(model)
        )


@pytest.mark.parametrize("level", native.levels())
def test_every_instruction_set_writes_and_reads_the_same_bytes(expected, level, monkeypatch):
    _use(monkeypatch, lambda model: native.NativeKernels(model, level))
    assert blobs() == expected
    for blob, image in zip(expected, IMAGES, strict=True):
        assert (decode(blob) == image).all()


def test_a_processor_has_the_portable_level_and_no_unknown_one():
    assert native.levels()[0] == "portable"
    with pytest.raises(ValueError, match="no level mmx"):
        native.NativeKernels(default_model(), "mmx")


_SIZES = [
    Profile(name="drawn", width=16, fused=48, hidden=16, entropy_models=3, mixtures=1),
    Profile(name="drawn", width=32, fused=32, hidden=32, entropy_models=1, mixtures=3),
    Profile(name="drawn", width=80, fused=16, hidden=112, entropy_models=2, mixtures=4),
    Profile(name="drawn", width=512, fused=512, hidden=512, entropy_models=1, mixtures=7),
]


@pytest.mark.parametrize("profile", _SIZES, ids=lambda p: f"{p.width}-{p.mixtures}")
def test_networks_of_all_sizes_give_the_bytes_of_torch(profile, monkeypatch):
    model = load_model(draw_model(profile))
    images = [textured(37, 53, 4), gray(7, 9, 5)]

    def written() -> list[bytes]:
        return Encoder(model, tile_size=32).encode_batch(images, [None, None])

    _use(monkeypatch, lambda model: TorchKernels(model))
    reference = written()
    for level in native.levels():
        _use(monkeypatch, lambda model, level=level: native.NativeKernels(model, level))
        assert written() == reference, level
        for blob, image in zip(reference, images, strict=True):
            assert (decode(blob, models={model.id: model}) == image).all(), level


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc here")
@pytest.mark.parametrize("flags", [["-march=x86-64-v3"], ["-O1"], ["-O3", "-ffp-contract=off"]])
def test_the_c_kernels_give_the_same_bytes_however_they_are_compiled(
    expected, flags, tmp_path, monkeypatch
):
    """Other instruction sets, no fused multiply-add, other optimisation levels."""
    if "-march" in flags[0] and platform.machine() != "x86_64":
        pytest.skip("flags of another processor")
    target = tmp_path / "_kernels.abi3.so"
    source = Path(native.__file__).with_name("_kernels.c")
    sources = [str(source), *map(str, source.with_name("kernels_c").glob("*.c"))]
    include = f"-I{sysconfig.get_paths()['include']}"
    command = ["gcc", "-O2", "-shared", "-fPIC", include, *flags]
    subprocess.run([*command, *sources, "-o", str(target)], check=True, timeout=120)
    spec = importlib.util.spec_from_file_location("_kernels", target)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(native, "_kernels", module)
    for level in native.levels():
        _use(monkeypatch, lambda model, level=level: native.NativeKernels(model, level))
        assert blobs() == expected, level


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_writes_and_reads_the_same_bytes(expected):
    assert blobs("cuda") == expected
    for blob, image in zip(expected, IMAGES, strict=True):
        assert (decode(blob, device="cuda") == image).all()


def test_the_network_that_is_trained_is_the_network_that_runs():
    """The float network's outputs are the integer kernels' outputs, to the last bit."""
    from seec.pipeline.codec.model.weights import load_model
    from seec.pipeline.codec.training.export import export_model

    torch.manual_seed(0)
    network = SeecNetwork(
        Profile(name="drawn", width=32, fused=32, hidden=16, entropy_models=2, mixtures=3)
    )
    model = load_model(export_model(network, {"name": "random"}))
    integer = PlainNetwork(model, "cpu", torch.float32)
    patches = np.stack([textured(35, 38, seed) for seed in range(3)])
    batch = make_batch(patches, np.zeros(3, bool), build_tables())
    with torch.no_grad():
        floats = network.mixture_params(network.features(batch.inputs), 1) * 2**OUTPUT_BITS
    inputs = batch.inputs * 32
    integers = integer.mixture_params(1, integer.fuse(inputs, inputs[:, :0]))
    assert torch.equal(floats.to(torch.int32), integers)
