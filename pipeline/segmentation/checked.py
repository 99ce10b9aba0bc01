"""Label maps checked against a model, one image at a time."""

from seec.pipeline.segmentation.protocol import MAX_LABELS, LabelMap, Pixels, Segmenter
from seec.schemas.errors import ModelError, UnreadableMask

_REMEDY = "lets the encoder pick the entropy model of each region"


def check_labels(segmenter: Segmenter, entropy_models: int) -> None:
    """Raise ModelError if a source has more labels than a model has entropy models."""
    if segmenter.labels is not None and segmenter.labels > entropy_models:
        raise ModelError(
            f"{segmenter.name} has {segmenter.labels} labels and the model has {entropy_models} "
            f"entropy models; {segmenter.name}+rate {_REMEDY}"
        )


def label_image(
    segmenter: Segmenter, image: Pixels, name: str, entropy_models: int
) -> LabelMap | None:
    """The label map of one image, [H, W] uint8; None leaves the choice to the encoder.

    image: [H, W] or [H, W, 3] uint8. name: path in the collection, escaped by `seec.schemas.names`.
    entropy_models: number of entropy models of the model. Raises UnreadableMask if no label map
    fits the image and the model.
    """
    (labels,) = segmenter.segment([image], [name])
    limit = MAX_LABELS if segmenter.proposes else entropy_models
    if labels is not None and labels.max() >= limit:
        raise UnreadableMask(
            f"{name}: label {labels.max()}, but the model has {entropy_models} entropy models, "
            f"labels 0 to {entropy_models - 1}; +rate {_REMEDY}"
        )
    return labels
