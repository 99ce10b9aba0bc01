"""The models that an archive holds: weights that decode pixels, and models of JPEG coefficients."""

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from seec.pipeline.archive.archive import read_recorded
from seec.pipeline.archive.shard import models_of
from seec.pipeline.storage import Store
from seec.schemas.commit import model_record
from seec.schemas.rows import Row

if TYPE_CHECKING:
    from seec.pipeline.codec.model.weights import Model
    from seec.pipeline.dct.weights import DctModel


def load_any_model(payload: bytes) -> "Model | DctModel":
    """The model of a file, loaded and checked; ModelError if it is not sound."""
    # Imported here: rows without a model are read without the codecs.
    from seec.pipeline.codec.model.weights import load_model
    from seec.pipeline.dct.weights import is_dct_model
    from seec.pipeline.dct.weights import load_model as load_dct_model

    return load_dct_model(payload) if is_dct_model(payload) else load_model(payload)


@lru_cache(maxsize=4)
def archived_model(store: Store, model_id: str) -> "Model | DctModel":
    """A model as the archive holds it, loaded and checked once per process.

    Raises FixityError if the archive does not hold the model, ModelError if no decoder takes it.
    """
    return load_any_model(read_recorded(store, model_record(model_id)))


def archived_models(store: Store, rows: Iterable[Row]) -> "dict[str, Model | DctModel]":
    """The models that rows need, by id. Raises as `archived_model`."""
    return {model_id: archived_model(store, model_id) for model_id in models_of(rows)}
