"""`X+rate`: X proposes regions, and code length decides on the entropy model of each."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from seec.pipeline.segmentation.protocol import LabelMap, Pixels, Segmenter


@dataclass(frozen=True)
class Proposals:
    """The label maps of another source, whose labels only name regions."""

    source: Segmenter
    labels: int | None = field(default=None, init=False)
    proposes: bool = field(default=True, init=False)

    @property
    def name(self) -> str:
        """`X+rate` for a source X."""
        return f"{self.source.name}+rate"

    def segment(
        self, images: Sequence[Pixels], names: Sequence[str] | None = None
    ) -> list[LabelMap | None]:
        """The label maps of the source."""
        return self.source.segment(images, names)
