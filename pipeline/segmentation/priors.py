"""Hand-made maps of saliency, which a small network gets beside the picture.

Colours are CIE Lab. Backgrounds mostly reach the border of a picture, and objects mostly do not:
hence distances in colour to each of the four sides, and the minimum barrier distance to the
border (Zhang et al., "Minimum Barrier Salient Object Detection at 80 FPS", ICCV 2015).
"""

import torch
import torch.nn.functional as f
from torch import Tensor

PRIORS = 12
_SIDE = 0.1  # share of the height or width that counts as one side
_SWEEPS = 2
_WHITE = (0.9505, 1.0, 1.089)  # D65
_XYZ = (
    (0.4124, 0.3576, 0.1805),
    (0.2126, 0.7152, 0.0722),
    (0.0193, 0.1192, 0.9505),
)


def lab(rgb: Tensor) -> Tensor:
    """CIE Lab, scaled to about -1 .. 1.

    rgb: [B, 3, H, W] float32, sRGB in 0 .. 1. Returns the same shape.
    """
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    white = rgb.new_tensor(_WHITE)[:, None]
    xyz = torch.einsum("ij,bjhw->bihw", rgb.new_tensor(_XYZ) / white, linear)
    root = torch.where(xyz > 0.008856, xyz.clamp(min=1e-6) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = root.unbind(1)
    return torch.stack([2.32 * y - 1.32, 5 * (x - y), 2 * (y - z)], 1)


def prior_maps(colours: Tensor) -> Tensor:
    """The maps beside the picture.

    colours: [B, 3, H, W] float32 from `lab`. Returns [B, 12, H, W]: Lab, x, y, distance to the
    centre, distance to the colours of each side, their sum without the largest, barrier distance.
    """
    sides = _side_distances(colours)
    backgroundness = sides.sum(1, keepdim=True) - sides.amax(1, keepdim=True)
    barrier = barrier_distance(colours)
    maps = [colours, _places(colours), sides, _stretch(backgroundness), _stretch(barrier)]
    return torch.cat(maps, 1)


def _places(like: Tensor) -> Tensor:
    batch, _, height, width = like.shape
    y = torch.linspace(-1, 1, height, dtype=like.dtype, device=like.device)
    x = torch.linspace(-1, 1, width, dtype=like.dtype, device=like.device)
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij"))
    places = torch.cat([grid, grid.square().sum(0, keepdim=True).sqrt()])
    return places.expand(batch, -1, -1, -1)


def _side_distances(colours: Tensor) -> Tensor:
    """Mahalanobis distance of each pixel to the colours of each side, [B, 4, H, W]."""
    height, width = colours.shape[2:]
    rows, columns = max(1, round(_SIDE * height)), max(1, round(_SIDE * width))
    sides = (
        colours[:, :, :rows],
        colours[:, :, -rows:],
        colours[:, :, :, :columns],
        colours[:, :, :, -columns:],
    )
    return _stretch(torch.stack([_distance(colours, side.flatten(2)) for side in sides], 1))


def _distance(colours: Tensor, samples: Tensor) -> Tensor:
    mean = samples.mean(2, keepdim=True)
    spread = samples - mean
    covariance = spread @ spread.transpose(1, 2) / samples.shape[2]
    floor = 1e-3 * torch.eye(3, dtype=colours.dtype, device=colours.device)
    whiten = torch.linalg.inv(torch.linalg.cholesky(covariance + floor))
    return (whiten @ (colours.flatten(2) - mean)).norm(dim=1).reshape(colours[:, 0].shape)


def barrier_distance(colours: Tensor) -> Tensor:
    """Minimum barrier distance to the border, summed over channels: [B, 1, H, W].

    The barrier of a path is the difference between the largest and the smallest value on the path.
    Raster sweeps in four directions come close to the minimum. colours: [B, C, H, W].
    """
    high, low = colours.clone(), colours.clone()
    distance = torch.full_like(colours, torch.inf)
    distance[..., 0, :] = distance[..., -1, :] = 0
    distance[..., :, 0] = distance[..., :, -1] = 0
    state = (colours, high, low, distance)
    across = tuple(part.transpose(2, 3) for part in state)
    for _ in range(_SWEEPS):
        for direction in (state, across):
            _sweep(*direction, backwards=False)
            _sweep(*direction, backwards=True)
    return distance.sum(1, keepdim=True)


def _sweep(values: Tensor, high: Tensor, low: Tensor, distance: Tensor, *, backwards: bool) -> None:
    """Let every row take over paths from the row before, in place."""
    rows = range(values.shape[2] - 1, -1, -1) if backwards else range(values.shape[2])
    before = rows[0]
    for row in rows[1:]:
        top = torch.maximum(high[:, :, before], values[:, :, row])
        bottom = torch.minimum(low[:, :, before], values[:, :, row])
        barrier = top - bottom
        better = barrier < distance[:, :, row]
        better &= distance[:, :, before].isfinite()
        high[:, :, row] = torch.where(better, top, high[:, :, row])
        low[:, :, row] = torch.where(better, bottom, low[:, :, row])
        distance[:, :, row] = torch.where(better, barrier, distance[:, :, row])
        before = row


def _stretch(maps: Tensor) -> Tensor:
    """Divide each map by its maximum."""
    return maps / maps.amax((2, 3), keepdim=True).clamp(min=1e-3)


def pooled(colours: Tensor, factor: int) -> Tensor:
    """Means of factor x factor pixels."""
    return f.avg_pool2d(colours, factor)
