"""The weights that an archive holds."""

from functools import lru_cache

from seec.pipeline.codec.model.weights import Model, load_model
from seec.pipeline.storage import Store
from seec.schemas.archive import model_name


@lru_cache(maxsize=4)
def archived_model(store: Store, model_id: str) -> Model:
    """A model as the archive holds it, loaded and checked once per process.

    Raises ObjectMissing if the archive does not hold the model, ModelError if it is damaged.
    """
    return load_model(store.get(model_name(model_id)))
