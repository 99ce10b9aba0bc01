"""Where encoders run, by what was measured."""

import pytest

from seec.pipeline.codec import Encoder, load_model
from seec.pipeline.stages import devices
from seec.pipeline.stages.cluster import placement
from seec.pipeline.stages.devices import AUTO, CPU, CUDA, Speeds, choose
from seec.schemas.errors import SeecError
from tests.faults.points import MODEL


def never() -> Speeds:
    raise AssertionError


def test_nothing_is_measured_where_there_is_no_choice():
    without, some = placement(16, 0), placement(16, 2)
    assert choose(without, AUTO, never) == (without, "")
    chosen, line = choose(some, CPU, never)
    assert (chosen, line) == (without, "")
    chosen, line = choose(some, CUDA, never)
    assert (chosen.gpus, chosen.encoders, line) == (2, 2, "encoding on 2 GPUs, as asked for")
    with pytest.raises(SeecError, match="no GPU"):
        choose(without, CUDA, never)


@pytest.mark.parametrize(
    ("speeds", "gpus", "encoders"),
    [(Speeds(1, 2), 2, 16), (Speeds(1, 1), 0, 16), (Speeds(2, 1), 0, 16), ("no driver", 0, 16)],
)
def test_gpus_encode_where_they_are_faster_and_cpus_beside_them(
    speeds: Speeds | str, gpus: int, encoders: int
):
    chosen, line = choose(placement(16, 2), AUTO, lambda: speeds)
    assert (chosen.gpus, chosen.encoders) == (gpus, encoders)
    where = "2 GPUs and 14 CPUs" if gpus else "16 CPUs"
    why = speeds if isinstance(speeds, str) else f"a GPU encodes {speeds.gpu:.2f} MP/s"
    assert line.startswith(f"encoding on {where}: {why}")


def test_a_gpu_and_a_processor_are_shared_out_once():
    chosen, _ = choose(placement(16, 2), AUTO, lambda: Speeds(1, 9))
    together = (chosen.gpu_encoder_options, chosen.segmenter_options)
    assert sum(options["num_gpus"] for options in together) == 1
    assert "num_gpus" not in chosen.encoder_options
    assert choose(placement(2, 4), AUTO, lambda: Speeds(1, 9))[0].encoders == 4


def test_a_speed_is_megapixels_a_second():
    assert 0 < devices.speed(Encoder(load_model(MODEL.read_bytes()))) < 1000
