"""The bounds under which the decoder's arithmetic is exact, proved for each model file.

Each check raises InexactWeights, naming what breaks the bound.
"""

# numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.model.profile import (
    HIDDEN_LIMIT,
    INPUT_LIMIT,
    PREDICTOR_LIMIT,
    Predictor,
    Profile,
)
from seec.pipeline.codec.model.tables import LOGISTIC_ONE, Tables
from seec.schemas.errors import InexactWeights

EXACT_LIMIT = 1 << 24
Z_VALUES = 64
POSITION_LIMIT = 1 << 12
_LEAST_SQUARES_LIMIT = 1 << 30
_ERROR_LIMIT = 4 * 255  # of a predictor, in 1/4 of a value


def check_layer(
    name: str, weight: NDArray[np.int8], bias: NDArray[np.int32], shift: NDArray[np.int32]
) -> None:
    """Every partial sum of a row must be an integer that float32 holds exactly.

    weight: [groups, out, in]; bias, shift: [groups, out].
    """
    largest = INPUT_LIMIT if name == "context" else HIDDEN_LIMIT
    if shift.min() < 1 or shift.max() > 23:
        raise InexactWeights(f"{name}: shifts lie in 1..23")
    reach = np.abs(weight.astype(np.int64)).sum(-1) * largest
    reach += np.abs(bias.astype(np.int64)) + (1 << (shift.astype(np.int64) - 1))
    if reach.max() >= EXACT_LIMIT:
        group, row = np.unravel_index(reach.argmax(), reach.shape)
        raise InexactWeights(
            f"{name}, group {group}, row {row}: sums reach {reach.max()}, over {EXACT_LIMIT - 1}"
        )


def check_side_table(name: str, table: NDArray[np.int32]) -> None:
    """Bounds under which latents can be coded and attention stays exact."""
    if name == "normal":
        _check_rises(name, table)
    elif name == "z":
        if table.min() < 1 or table.max() > EXACT_LIMIT // (2 * Z_VALUES):
            raise InexactWeights("table z leaves the frequencies that floats hold exactly")
    elif abs(table.astype(np.int64)).max() > POSITION_LIMIT:
        raise InexactWeights(f"table {name} leaves [-{POSITION_LIMIT}, {POSITION_LIMIT}]")


def check_tables(t: Tables, profile: Profile) -> None:
    """Bounds under which the int32 arithmetic of inputs and mixture cannot overflow."""
    log_range = (-INPUT_LIMIT + 32, INPUT_LIMIT + 32)
    scaled = _ERROR_LIMIT if profile.predictors else 255
    ranges = {
        "reciprocal": (0, (2**31 - 8192) // scaled - 1),
        "log_activity": log_range,
        "exp": (0, 255),
        "logistic": (0, LOGISTIC_ONE),
        "inverse_scale": (1, 2**31 - 1),
        "reach": (1, 2**31 - 1),
    }
    if profile.predictors:
        ranges["log_error"] = log_range
    for name, (low, high) in ranges.items():
        if t[name].min() < low or t[name].max() > high:
            raise InexactWeights(f"table {name} leaves [{low}, {high}]")
    _check_rises("logistic", t["logistic"])
    if t["exp"][0] != 255:
        raise InexactWeights("table exp does not start with 255")
    if (t["reach"].astype(np.int64) * t["inverse_scale"]).max() >= 2**31:
        raise InexactWeights("tables reach and inverse_scale overflow together")
    if profile.mixtures * 255 * (LOGISTIC_ONE >> 2) + 1024 >= EXACT_LIMIT:
        raise InexactWeights("too many mixtures for exact frequencies")


def check_predictor(
    name: str, p: Predictor, prior: NDArray[np.int32], start: NDArray[np.int32]
) -> None:
    """The sums of a predictor stay below 2^31, and what it solves for below 2^53.

    A strip adds at most rows x every products between two updates, and keeps 2^forget times as
    much; the sums of two strips and the prior come together. prior: [T + 3, T + 3].
    start: [3, T + 2].
    """
    wide = prior.astype(np.int64)
    sums = p.rows * p.every * (2 << p.forget) * INPUT_LIMIT**2 + int(abs(wide).max())
    if sums >= _LEAST_SQUARES_LIMIT:
        raise InexactWeights(f"{name}: sums reach {sums}, over {_LEAST_SQUARES_LIMIT - 1}")
    if (prior != prior.T).any() or prior.diagonal().min() < 0:
        raise InexactWeights(f"{name}: the prior is not symmetric with a diagonal of 0 or more")
    if abs(start.astype(np.int64)).max() > PREDICTOR_LIMIT:
        raise InexactWeights(f"{name}: a start beyond {PREDICTOR_LIMIT}")
    if any(row[p.regressors + channel :].any() for channel, row in enumerate(start)):
        raise InexactWeights(f"{name}: a start from a channel that is not known yet")


def _check_rises(name: str, nodes: NDArray[np.int32]) -> None:
    if nodes.min() < 0 or (np.diff(nodes) < 0).any() or nodes[-1] != LOGISTIC_ONE:
        raise InexactWeights(f"table {name} does not rise from 0 or more to {LOGISTIC_ONE}")
