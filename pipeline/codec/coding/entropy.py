"""Range coding with constriction: nibbles of sub-pixels, and label maps.

Models are `Categorical(perfect=False)` over float32 frequencies that are exact integers
below 2^24, so the one rounding (a division, then products) is the same on every machine.
"""

import constriction
import numpy as np
from numpy.typing import NDArray

from seec.schemas.errors import SectionCorrupt

Frequencies = NDArray[np.float32]

_CATEGORICAL = constriction.stream.model.Categorical(perfect=False)


class SymbolEncoder:
    """Writes symbols, first in first out."""

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()

    def put(self, symbols: NDArray[np.int32], frequencies: Frequencies) -> None:
        """Code symbols [n] with frequencies [n, alphabet]: exact integers, positive sums."""
        self._coder.encode(symbols, _CATEGORICAL, frequencies)

    def finish(self) -> bytes:
        """The little-endian 32-bit words written."""
        return self._coder.get_compressed().astype("<u4").tobytes()


class SymbolDecoder:
    """Reads what SymbolEncoder wrote."""

    def __init__(self, payload: bytes):
        if len(payload) % 4:
            raise SectionCorrupt("coded words are not a whole number of 32-bit words")
        words = np.frombuffer(payload, "<u4").astype(np.uint32)
        self._coder = constriction.stream.queue.RangeDecoder(words)

    def take(self, frequencies: Frequencies) -> NDArray[np.int32]:
        """Symbols [n], given frequencies [n, alphabet]; raises SectionCorrupt."""
        try:
            return self._coder.decode(_CATEGORICAL, frequencies)
        except (AssertionError, ValueError) as error:
            raise SectionCorrupt("coded words that no encoder writes") from error

    def finish(self) -> None:
        """Raises SectionCorrupt unless all words were used."""
        if not self._coder.maybe_exhausted():
            raise SectionCorrupt("coded words are left over")


class _LabelModel:
    """Adaptive counts of a label, given its west and north neighbours."""

    def __init__(self, entropy_models: int, columns: int):
        self._entropy_models = entropy_models
        self._counts = np.ones((entropy_models + 1, entropy_models + 1, entropy_models), np.float32)
        self._north = np.full(columns, entropy_models)

    def row(self, column: int, west: int) -> Frequencies:
        """The counts for one block, a view [entropy models]."""
        return self._counts[west, self._north[column]]

    def learn(self, column: int, west: int, label: int) -> None:
        """Count the label, then let it be the north of the next row."""
        counts = self.row(column, west)
        counts[label] += 8
        if counts[label] > 4096:
            np.floor(counts / 2 + 0.5, out=counts)
        self._north[column] = label


def encode_labels(labels: NDArray[np.uint8], entropy_models: int) -> bytes:
    """Code a label map [rows, columns] with values below `entropy models`."""
    coder = SymbolEncoder()
    model = _LabelModel(entropy_models, labels.shape[1])
    for row in labels.tolist():
        west = entropy_models
        for column, label in enumerate(row):
            coder.put(np.array([label], np.int32), model.row(column, west)[None])
            model.learn(column, west, label)
            west = label
    return coder.finish()


def decode_labels(
    payload: bytes, rows: int, columns: int, entropy_models: int
) -> NDArray[np.uint8]:
    """Inverse of encode_labels; raises SectionCorrupt."""
    coder = SymbolDecoder(payload)
    model = _LabelModel(entropy_models, columns)
    labels = np.empty((rows, columns), np.uint8)
    for y in range(rows):
        west = entropy_models
        for column in range(columns):
            label = int(coder.take(model.row(column, west)[None])[0])
            model.learn(column, west, label)
            labels[y, column] = west = label
    coder.finish()
    return labels
