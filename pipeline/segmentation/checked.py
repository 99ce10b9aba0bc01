"""Label maps that a model can speak for, one image at a time."""

from seec.pipeline.segmentation.protocol import MAX_LABELS, LabelMap, Pixels, Segmenter
from seec.schemas.errors import ModelError, UnreadableMask

_REMEDY = "lets the encoder pick the entropy model of each region"


def check_labels(segmenter: Segmenter, entropy_models: int) -> None:
    """ModelError if a source is known to have more labels than a model has entropy models."""
    if segmenter.labels is not None and segmenter.labels > entropy_models:
        raise ModelError(
            f"{segmenter.name} has {segmenter.labels} labels and the model has {entropy_models} "
            f"entropy models; "
            f"{segmenter.name}+rate {_REMEDY}"
        )


def label_image(
    segmenter: Segmenter, image: Pixels, name: str, entropy_models: int
) -> LabelMap | None:
    """The label map of one image, None where the encoder is to choose.

    image: [H, W] or [H, W, 3] uint8. name: its path in the collection, as `seec.schemas.names`
    escapes it. entropy_models: entropy models of the model it is for. Raises UnreadableMask where
    there is no map that fits the image and the model.
    """
    (labels,) = segmenter.segment([image], [name])
    limit = MAX_LABELS if segmenter.proposes else entropy_models
    if labels is not None and labels.max() >= limit:
        raise UnreadableMask(
            f"{name}: label {labels.max()} and a model of {entropy_models} entropy models; "
            f"+rate {_REMEDY}"
        )
    return labels
