"""What an encoder is asked for: how to code, and an image with what belongs to it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.coding.background import Background
from seec.pipeline.codec.coding.kernels import Kernels
from seec.pipeline.codec.model.weights import Model
from seec.schemas.errors import LimitExceeded
from seec.schemas.limits import MAX_PIXELS

if TYPE_CHECKING:
    from seec.pipeline.codec.sic.latents import SideCoder

Pixels = NDArray[np.uint8]
ColourSetChoice = Literal["auto", "none"]


@dataclass(frozen=True)
class Plan:
    """How an encoder cuts images, and with what it codes them; see `Encoder`."""

    model: Model
    kernels: Kernels
    tile_size: int
    tiles_per_group: int
    block_shift: int
    side: "SideCoder | None"
    colour_set: ColourSetChoice
    screen: bool
    turned: bool | None

    @property
    def entropy_models(self) -> int:
        """How many entropy models the model has: labels are below."""
        return self.model.profile.entropy_models


@dataclass(frozen=True)
class Request:
    """One image to encode; the fields as in `encode`.

    Raises ValueError for images, labels and regions of other shapes or types, LimitExceeded for
    too many pixels.
    """

    image: Pixels
    labels: Pixels | None
    background: Background | None
    regions: bool

    def __post_init__(self) -> None:
        """Check the shapes."""
        image = self.image
        if image.dtype != np.uint8 or not (
            image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
        ):
            raise ValueError(
                f"SEEC codes uint8 [H, W] or [H, W, 3], not {image.dtype}{image.shape}"
            )
        size = height, width = image.shape[:2]
        if not height * width:
            raise ValueError("an image without pixels")
        if height * width > MAX_PIXELS:
            raise LimitExceeded(f"{width} x {height} pixels; the limit is {MAX_PIXELS}")
        if self.labels is not None and self.labels.shape != size:
            raise ValueError(f"labels {self.labels.shape} for an image {size}")
        if self.background is not None and self.background.region.shape != size:
            raise ValueError(f"a region {self.background.region.shape} for an image {size}")

    @property
    def pixels(self) -> Pixels:
        """The image as [H, W, channels]."""
        return self.image[..., None] if self.image.ndim == 2 else self.image

    def chooses_labels(self, plan: Plan) -> bool:
        """Whether code lengths decide the labels."""
        return plan.entropy_models > 1 and (self.labels is None or self.regions)

    def is_plain(self, plan: Plan) -> bool:
        """Whether the image is lossless and without SIC: it may be turned or get a colour set."""
        return self.background is None and plan.side is None
