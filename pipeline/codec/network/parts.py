"""Some pixels of a tile group, in the order in which they are coded."""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seec.pipeline.codec.coding.tiles import GroupCanvas, Pixels, Wavefront


@dataclass(frozen=True)
class Part:
    """Some pixels of a group: rows of its coding order.

    flat: the group's canvas on the device, [bytes] uint8. at: [n] int64, where in it each pixel
    is.
    """

    group: GroupCanvas
    order: Wavefront
    rows: slice
    flat: Tensor
    at: Tensor

    @staticmethod
    def of_steps(
        group: GroupCanvas, order: Wavefront, flat: Tensor, first: int, last: int
    ) -> "Part":
        """The pixels of the wavefront steps from first to before last."""
        rows = slice(int(order.starts[first]), int(order.starts[last]))
        at = torch.from_numpy(order.offset[rows]).to(flat.device)
        return Part(group, order, rows, flat, at)

    @property
    def labels(self) -> Pixels:
        """The label of each pixel, [n] uint8: which entropy model codes it."""
        return self.order.label[self.rows]

    @property
    def tiles(self) -> NDArray[np.int64]:
        """Which tile each pixel is in, [n]."""
        return self.order.tile[self.rows]

    def widths(self) -> Tensor:
        """Of each pixel's bins, [n] int32."""
        return torch.from_numpy(self.order.width[self.rows]).to(self.flat.device, torch.int32)

    def pixels(self) -> Tensor:
        """The pixels themselves, [n, 3] int32; of a full canvas."""
        return self.gather(((0, 0),))[:, 0]

    def gather(self, places: tuple[tuple[int, int], ...]) -> Tensor:
        """The pixels at these distances (dy, dx) from each pixel, [n, places, 3] int32."""
        return self.flat[self.at[:, None, None] + self.offsets(places)].to(torch.int32)

    def offsets(self, places: tuple[tuple[int, int], ...]) -> Tensor:
        """How far away samples (dy, dx) are in a flat canvas, [places, 3] int64."""
        columns = self.group.canvas.shape[2]
        starts = torch.tensor([3 * (dy * columns + dx) for dy, dx in places])
        return (starts[:, None] + torch.arange(3)).to(self.flat.device)
