"""Region-of-interest coding (arXiv 2509.07704, Fig. 3): from a label source to what may be lost."""

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec import Background
from seec.pipeline.segmentation import Segmenter, check_name
from seec.pipeline.segmentation.protocol import Pixels
from seec.schemas.loss import SKIP

# They label by code length or not at all, so nothing in their maps is of interest.
_WITHOUT_REGION = ("rate", "none")


def check_region_source(name: str) -> None:
    """ValueError unless `name` is a segmentation source whose labels tell a region apart."""
    check_name(name)
    if name.removesuffix("+rate") in _WITHOUT_REGION:
        raise ValueError(f"{name} knows no region of interest: salient, masks:DIR, ... do")


def make_background(region: NDArray[np.bool_], background_error: int) -> Background | None:
    """What an encoder may lose outside a region, None where that is nothing.

    region: [H, W] bool. background_error: as in `schemas.loss`. An empty region more likely means
    that nothing was found than that nothing matters: the image stays lossless.
    """
    if not region.any():
        return None
    return Background(region, None if background_error == SKIP else background_error)


def background_of(
    segmenter: Segmenter, image: Pixels, name: str, background_error: int
) -> Background | None:
    """As make_background, where the region is what a source gives any label but 0.

    name: the image's path, as `seec.schemas.names` escapes it. Raises UnreadableMask.
    """
    (labels,) = segmenter.segment([image], [name])
    return None if labels is None else make_background(labels > 0, background_error)
