"""The network behind `salient`: a U-Net with attention where the picture is small.

Saliency compares each place with all others. Attention on a coarse grid compares them with few
weights, for which 800 training images are enough.
"""

import torch
import torch.nn.functional as f
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from seec.pipeline.segmentation.priors import PRIORS, lab, pooled, prior_maps

_STEM, _FINE, _MIDDLE, _COARSE = 24, 40, 80, 128
_HEADS = 4
_FREQUENCIES = 4


class ConvUnit(nn.Module):
    """Convolution, batch norm (unless folded), ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return f.relu(self.norm(self.conv(x)))

    def fold(self) -> None:
        """Merge the batch norm into the convolution; for inference only."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv.eval(), self.norm.eval())
            self.norm = nn.Identity()


class Residual(nn.Module):
    """Two convolutions beside a short cut."""

    def __init__(self, width: int):
        super().__init__()
        self.first = ConvUnit(width, width)
        self.second = ConvUnit(width, width)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return x + self.second(self.first(x))


class Attention(nn.Module):
    """A transformer layer over all places of a coarse grid."""

    def __init__(self, width: int):
        super().__init__()
        self.place = nn.Linear(4 * _FREQUENCIES, width)
        self.norm_mix = nn.LayerNorm(width)
        self.mix = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_feed = nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        batch, width, rows, columns = x.shape
        tokens = x.flatten(2).transpose(1, 2) + self.place(_waves(rows, columns, x))
        parts = self.mix(self.norm_mix(tokens)).reshape(batch, rows * columns, 3, _HEADS, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = f.scaled_dot_product_attention(query, key, value).transpose(1, 2)
        tokens = tokens + self.out(seen.reshape(batch, rows * columns, width))
        tokens = tokens + self.feed(self.norm_feed(tokens))
        return tokens.transpose(1, 2).reshape(batch, width, rows, columns)


def _waves(rows: int, columns: int, like: Tensor) -> Tensor:
    """The position of each place, as sines and cosines: [rows * columns, 16]."""
    y = torch.linspace(-1, 1, rows, dtype=like.dtype, device=like.device)
    x = torch.linspace(-1, 1, columns, dtype=like.dtype, device=like.device)
    places = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).reshape(-1, 2, 1)
    steps = torch.arange(_FREQUENCIES, dtype=like.dtype, device=like.device)
    angles = (places * torch.pi / 2 * 2**steps).flatten(1)
    return torch.cat([angles.sin(), angles.cos()], 1)


class SalientNetwork(nn.Module):
    """RGB to logits of saliency."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvUnit(3, _STEM, stride=2)
        self.to_fine = ConvUnit(_STEM, _FINE, stride=2)
        self.fine = nn.Sequential(ConvUnit(_FINE + PRIORS, _FINE), Residual(_FINE))
        self.to_middle = ConvUnit(_FINE, _MIDDLE, stride=2)
        self.middle = nn.Sequential(Residual(_MIDDLE), Residual(_MIDDLE))
        self.to_coarse = ConvUnit(_MIDDLE, _COARSE, stride=2)
        self.coarse = nn.Sequential(
            Residual(_COARSE), Attention(_COARSE), Residual(_COARSE), Attention(_COARSE)
        )
        self.rough = nn.Conv2d(_COARSE, 1, 1)
        self.up_middle = nn.Sequential(ConvUnit(_COARSE + _MIDDLE, _MIDDLE), Residual(_MIDDLE))
        self.up_fine = nn.Sequential(ConvUnit(_MIDDLE + _FINE, _FINE), Residual(_FINE))
        self.up_stem = ConvUnit(_FINE + _STEM, _STEM)
        self.sharp = nn.Conv2d(_STEM, 1, 1)

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Logits at half size, and rough ones at a sixteenth, for training.

        rgb: [B, 3, H, W] float32 in 0 .. 1, H and W multiples of 16.
        Returns [B, 1, H / 2, W / 2] and [B, 1, H / 16, W / 16] float32.
        """
        colours = lab(rgb)
        with torch.no_grad():
            priors = prior_maps(pooled(colours, 4))
        stem = self.stem(colours)
        fine = self.fine(torch.cat([self.to_fine(stem), priors], 1))
        middle = self.middle(self.to_middle(fine))
        coarse = self.coarse(self.to_coarse(middle))
        x = self.up_middle(torch.cat([_double(coarse), middle], 1))
        x = self.up_fine(torch.cat([_double(x), fine], 1))
        x = self.up_stem(torch.cat([_double(x), stem], 1))
        return self.sharp(x), self.rough(coarse)

    def fold(self) -> None:
        """Merge every batch norm into its convolution; for inference only."""
        for module in self.modules():
            if isinstance(module, ConvUnit):
                module.fold()


def _double(x: Tensor) -> Tensor:
    return f.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
