"""The models that a run encodes with, whether its archive holds them yet or not."""

from collections.abc import Iterable
from contextlib import suppress

from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.models import archived_model
from seec.pipeline.codec import Model
from seec.pipeline.codec.model.packaged import find_packaged
from seec.pipeline.dct.packaged import find_packaged as find_packaged_dct
from seec.pipeline.dct.weights import DctModel
from seec.pipeline.routes.writing import RunModels
from seec.schemas.commit import RunRecord
from seec.schemas.errors import FixityError, FormatError, ModelError, UnknownModel

_SHORT_BYTES = 8
_SHOWN_DIGITS = 16


def models_of(
    archive: Archive, run: RunRecord, given: Iterable[Model | DctModel | None]
) -> RunModels:
    """The models of a run that encodes. given: by the user, which may be others.

    A run that was interrupted before any row needed its models left none in the archive. Raises
    UnknownModel if a model is not among those given, nor packaged, nor in the archive.
    """
    known = {model.id: model for model in given if model is not None}

    def model(model_id: str) -> Model | DctModel:
        found = known.get(model_id) or find_model(archive, model_id)
        if found is None:
            raise UnknownModel(
                f"{archive.store.url}: run {run.run_id} encodes with model "
                f"{model_id[:_SHOWN_DIGITS]}, which is not in the archive: no row needs it yet. "
                "Give the weights file of the run again, or give up the run with --new-plan"
            )
        return found

    pixels = model(run.model_id or "")
    jpeg = None if run.jpeg_model_id is None else model(run.jpeg_model_id)
    if not isinstance(pixels, Model) or isinstance(jpeg, Model):
        raise ModelError(f"{archive.store.url}: run {run.run_id} names models of another kind")
    return RunModels(pixels, jpeg)


def find_model(archive: Archive, model_id: str) -> Model | DctModel | None:
    """A model that is packaged or in the archive, and sound; None if there is none."""
    short_id = bytes.fromhex(model_id)[:_SHORT_BYTES]
    for packaged in (find_packaged(short_id), find_packaged_dct(short_id)):
        if packaged is not None and packaged.id == model_id:
            return packaged
    with suppress(FixityError, FormatError, ModelError):
        model = archived_model(archive.store, model_id)
        return model if model.id == model_id else None
    return None
