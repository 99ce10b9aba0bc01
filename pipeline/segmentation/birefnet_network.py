"""BiRefNet (Zheng et al., arXiv 2401.03407), the segmentation network of the paper.

Layers that only training needs do nothing here, and exist so that the published weights load
completely. Modules are named as in the published weights.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as f
from torch import Tensor, nn

from seec.pipeline.segmentation.swin import SwinSizes, SwinTransformer

_INNER = 64
_BRANCH = 256
_EDGES = 16  # channels that attend to where the picture changes


@dataclass(frozen=True)
class BiRefNetSizes:
    """backbone: of the encoder. kernels: of the deformable convolutions side by side."""

    backbone: SwinSizes
    kernels: tuple[int, ...]


class BiRefNet(nn.Module):
    """Images to logits of saliency."""

    def __init__(self, sizes: BiRefNetSizes):
        super().__init__()
        self.bb = SwinTransformer(sizes.backbone)
        # The backbone runs at two scales of the picture.
        channels = [2 * width for width in reversed(sizes.backbone.widths)]
        block = _DecoderBlock(sum(channels), channels[0], sizes.kernels)
        self.squeeze_module = nn.Sequential(block)
        self.decoder = _Decoder(channels, sizes.kernels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W], normalised, H and W multiples of 64, to [B, 1, H, W]."""
        half = _resized(x, x.shape[2] // 2, x.shape[3] // 2)
        pairs = zip(self.bb(x), self.bb(half), strict=True)
        stages = [torch.cat([large, _like(small, large)], 1) for large, small in pairs]
        last = torch.cat([*(_like(stage, stages[3]) for stage in stages[:3]), stages[3]], 1)
        return self.decoder(x, stages[:3], self.squeeze_module(last))


class _Decoder(nn.Module):
    def __init__(self, channels: list[int], kernels: tuple[int, ...]):
        super().__init__()
        inputs = [channels[0] // 8, *(c // 8 for c in channels)]  # for blocks 5 to 1
        for block, scale, width in zip((5, 4, 3, 2, 1), (32, 16, 8, 4, 1), inputs, strict=True):
            self.add_module(f"ipt_blk{block}", _InputBlock(3 * scale**2, width))
        outputs = [*channels[1:], channels[3] // 2]
        for block, (width, extra, out) in enumerate(zip(channels, inputs, outputs, strict=False)):
            self.add_module(f"decoder_block{4 - block}", _DecoderBlock(width + extra, out, kernels))
        self.conv_out1 = nn.Sequential(nn.Conv2d(channels[3] // 2 + inputs[4], 1, 1))
        for level, width in zip((4, 3, 2), channels[1:], strict=True):
            self.add_module(f"lateral_block{level}", _Lateral(width))
            self.add_module(f"conv_ms_spvn_{level}", nn.Conv2d(width, 1, 1))
            edges = nn.Sequential(
                nn.Conv2d(width, _EDGES, 3, 1, 1), nn.BatchNorm2d(_EDGES), nn.ReLU()
            )
            self.add_module(f"gdt_convs_{level}", edges)
            self.add_module(f"gdt_convs_pred_{level}", nn.Sequential(nn.Conv2d(_EDGES, 1, 1)))
            self.add_module(f"gdt_convs_attn_{level}", nn.Sequential(nn.Conv2d(_EDGES, 1, 1)))

    def forward(self, image: Tensor, stages: list[Tensor], x: Tensor) -> Tensor:
        x = self._with_input(5, x, image)
        for level, stage in zip((4, 3, 2), reversed(stages), strict=True):
            x = self._part("decoder_block", level, x)
            edges = self._part("gdt_convs_", level, x)
            x = x * self._part("gdt_convs_attn_", level, edges).sigmoid()
            x = _like(x, stage) + self._part("lateral_block", level, stage)
            x = self._with_input(level, x, image)
        x = _like(self._part("decoder_block", 1, x), image)
        return self.conv_out1(self._with_input(1, x, image))

    def _with_input(self, block: int, x: Tensor, image: Tensor) -> Tensor:
        """Features, concatenated with the pixels of the same places."""
        scale = image.shape[2] // x.shape[2]
        return torch.cat([x, self._part("ipt_blk", block, _tiled(image, scale))], 1)

    def _part(self, name: str, level: int, x: Tensor) -> Tensor:
        return getattr(self, f"{name}{level}")(x)


def _tiled(image: Tensor, scale: int) -> Tensor:
    """[B, 3, H, W] to [B, 3 scale^2, H / scale, W / scale]: scale^2 large tiles, stacked."""
    batch, channels, height, width = image.shape
    tiles = image.reshape(batch, channels, scale, height // scale, scale, width // scale)
    return tiles.transpose(3, 4).reshape(batch, -1, height // scale, width // scale)


class _InputBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, _INNER, 3, 1, 1)
        self.conv_out = nn.Conv2d(_INNER, outputs, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.conv1(x))


class _Lateral(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class _DecoderBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernels: tuple[int, ...]):
        super().__init__()
        self.conv_in = nn.Conv2d(inputs, _INNER, 3, 1, 1)
        self.bn_in = nn.BatchNorm2d(_INNER)
        self.dec_att = _DeformableAspp(_INNER, kernels)
        self.conv_out = nn.Conv2d(_INNER, outputs, 3, 1, 1)
        self.bn_out = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dec_att(f.relu(self.bn_in(self.conv_in(x))))
        return self.bn_out(self.conv_out(x))


class _DeformableAspp(nn.Module):
    """Deformable convolutions of several sizes and a global mean, side by side."""

    def __init__(self, width: int, kernels: tuple[int, ...]):
        super().__init__()
        self.aspp1 = _DeformableUnit(width, 1)
        self.aspp_deforms = nn.ModuleList(_DeformableUnit(width, kernel) for kernel in kernels)
        self.global_avg_pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(width, _BRANCH, 1, bias=False),
            nn.BatchNorm2d(_BRANCH),
            nn.ReLU(),
        )
        self.conv1 = nn.Conv2d(_BRANCH * (2 + len(kernels)), width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        mean = self.global_avg_pool(x).expand(-1, -1, *x.shape[2:])
        branches = [self.aspp1(x), *(unit(x) for unit in self.aspp_deforms), mean]
        return f.relu(self.bn1(self.conv1(torch.cat(branches, 1))))


class _DeformableUnit(nn.Module):
    def __init__(self, width: int, kernel: int):
        super().__init__()
        self.atrous_conv = DeformableConv(width, _BRANCH, kernel)
        self.bn = nn.BatchNorm2d(_BRANCH)

    def forward(self, x: Tensor) -> Tensor:
        return f.relu(self.bn(self.atrous_conv(x)))


class DeformableConv(nn.Module):
    """Modulated deformable convolution (Zhu et al., arXiv 1811.11168), stride 1."""

    def __init__(self, inputs: int, outputs: int, kernel: int):
        super().__init__()
        self._kernel = kernel
        taps, pad = kernel * kernel, kernel // 2
        self.offset_conv = nn.Conv2d(inputs, 2 * taps, kernel, padding=pad)
        self.modulator_conv = nn.Conv2d(inputs, taps, kernel, padding=pad)
        self.regular_conv = nn.Conv2d(inputs, outputs, kernel, padding=pad, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, outputs, H, W], one tap at a time to save memory."""
        offsets = self.offset_conv(x).unflatten(1, (-1, 2))  # each tap's (dy, dx)
        weights = 2 * self.modulator_conv(x).sigmoid()
        total = x.new_zeros(len(x), self.regular_conv.out_channels, *x.shape[2:])
        for tap in range(self._kernel**2):
            row, column = divmod(tap, self._kernel)
            moved = _sampled(
                x, offsets[:, tap], row - self._kernel // 2, column - self._kernel // 2
            )
            kernel = self.regular_conv.weight[:, :, row, column]
            total += torch.einsum("oc,bchw->bohw", kernel, moved * weights[:, tap, None])
        return total


def _sampled(x: Tensor, offset: Tensor, row: int, column: int) -> Tensor:
    """X at each place moved by (row, column) plus its own offset; zero outside."""
    height, width = x.shape[2:]
    y = torch.arange(height, dtype=x.dtype, device=x.device)[:, None] + row + offset[:, 0]
    z = torch.arange(width, dtype=x.dtype, device=x.device) + column + offset[:, 1]
    grid = torch.stack([(2 * z + 1) / width - 1, (2 * y + 1) / height - 1], -1)
    return f.grid_sample(x, grid, padding_mode="zeros", align_corners=False)


def _resized(x: Tensor, height: int, width: int) -> Tensor:
    return f.interpolate(x, (height, width), mode="bilinear", align_corners=True)


def _like(x: Tensor, other: Tensor) -> Tensor:
    """Resized to another tensor's height and width."""
    return _resized(x, *other.shape[2:])
