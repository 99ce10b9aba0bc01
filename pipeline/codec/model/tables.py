"""The integer tables of the decoder, computed once and then stored with each model.

A decoder never computes a table: floating point made them, so it takes them from the
model file, where every machine finds the same integers.
"""

from math import erf

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.model.profile import SCALE_COUNT

ACTIVITY_MAX = 6 * 255
ERROR_MAX = 6 * 4 * 255
LOGISTIC_NODES = 512  # segments of the logistic table over [-16, 16)
LOGISTIC_ONE = 1 << 15
EXP_ENTRIES = 512

Tables = dict[str, NDArray[np.int32]]


def build_tables() -> Tables:
    """Compute the tables of format version 1.

    Returns int32 arrays by name:
      reciprocal [4591]: 4096 * 20 / (1.5 + S / 18), S the activity summed over channels.
      log_activity [1531]: 16 log2(0.5 + A / 6), A the activity of one channel.
      exp [512]: 255 exp(-i / 64), the weight of a component i below the best one.
      logistic [513]: 32768 / (1 + exp(-t)) at t = i / 16 - 16.
      inverse_scale [176]: 2^15 / s, s = 2 ** ((i - 64) / 16) pixel values.
      reach [176]: 16 s in 1/64 pixel values: beyond it the logistic is flat.
    """
    total = np.arange(3 * ACTIVITY_MAX + 1)
    activity = np.arange(ACTIVITY_MAX + 1)
    nodes = np.arange(LOGISTIC_NODES + 1) / 16 - 16
    scale = 2.0 ** ((np.arange(SCALE_COUNT) - 64) / 16)
    exact = {
        "reciprocal": 4096 * 20 / (1.5 + total / 18),
        "log_activity": 16 * np.log2(0.5 + activity / 6),
        "exp": 255 * np.exp(-np.arange(EXP_ENTRIES) / 64),
        "logistic": LOGISTIC_ONE / (1 + np.exp(-nodes)),
        "inverse_scale": 2.0**15 / scale,
        "reach": 16 * 64 * scale,
    }
    tables = {name: np.rint(values).astype(np.int32) for name, values in exact.items()}
    tables["logistic"][0], tables["logistic"][-1] = 0, LOGISTIC_ONE
    return tables


def log_error_table() -> NDArray[np.int32]:
    """16 log2(0.5 + E / 24), E six errors of a predictor in 1/4 of a value, [6121] int32."""
    return np.rint(16 * np.log2(0.5 + np.arange(ERROR_MAX + 1) / 24)).astype(np.int32)


def normal_table() -> NDArray[np.int32]:
    """32768 Phi(t) at t = i / 16 - 16, the distribution of latents (SIC), [513] int32."""
    nodes = [erf((i / 16 - 16) / 2**0.5) for i in range(LOGISTIC_NODES + 1)]
    table = np.rint(LOGISTIC_ONE / 2 * (1 + np.array(nodes))).astype(np.int32)
    table[0], table[-1] = 0, LOGISTIC_ONE
    return table


def log2_table() -> NDArray[np.int32]:
    """256 log2(1 + i / 1024) for the encoder's code lengths, [1024]. No decoder needs it."""
    return np.rint(256 * np.log2(1 + np.arange(1024) / 1024)).astype(np.int32)
