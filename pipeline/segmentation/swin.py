"""Swin transformer (Liu et al., arXiv 2103.14030), the backbone of BiRefNet.

Modules are named as in the published weights.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as f
from torch import Tensor, nn

_PATCH = 4
_MLP_RATIO = 4


@dataclass(frozen=True)
class SwinSizes:
    """width: of the first stage; each next stage has twice as much. depths, heads: by stage."""

    width: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int

    @property
    def widths(self) -> tuple[int, ...]:
        """The width of each stage."""
        return tuple(self.width << stage for stage in range(len(self.depths)))


class SwinTransformer(nn.Module):
    """Images to features at strides 4, 8, 16 and 32."""

    def __init__(self, sizes: SwinSizes):
        super().__init__()
        self.patch_embed = _PatchEmbed(sizes.width)
        last = len(sizes.depths) - 1
        self.layers = nn.ModuleList(
            _Stage(width, depth, heads, sizes.window, merge=stage < last)
            for stage, (width, depth, heads) in enumerate(
                zip(sizes.widths, sizes.depths, sizes.heads, strict=True)
            )
        )
        for stage, width in enumerate(sizes.widths):
            self.add_module(f"norm{stage}", nn.LayerNorm(width))

    def forward(self, x: Tensor) -> list[Tensor]:
        """[B, 3, H, W], normalised, to one [B, C, H / s, W / s] per stage."""
        x = self.patch_embed(x)
        outputs: list[Tensor] = []
        for stage, layer in enumerate(self.layers):
            x = layer(x)
            outputs.append(getattr(self, f"norm{stage}")(x).permute(0, 3, 1, 2))
            if stage + 1 < len(self.layers):
                x = layer.get_submodule("downsample")(x)
        return outputs


class _PatchEmbed(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.proj = nn.Conv2d(3, width, _PATCH, _PATCH)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.proj(_padded(x, _PATCH)).permute(0, 2, 3, 1))


class _Stage(nn.Module):
    def __init__(self, width: int, depth: int, heads: int, window: int, *, merge: bool):
        super().__init__()
        shifts = [window // 2 if block % 2 else 0 for block in range(depth)]
        self.blocks = nn.ModuleList(_Block(width, heads, window, shift) for shift in shifts)
        if merge:
            self.downsample = _PatchMerging(width)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class _PatchMerging(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(4 * width)

    def forward(self, x: Tensor) -> Tensor:
        x = f.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        parts = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.reduction(self.norm(torch.cat(parts, -1)))


class _Block(nn.Module):
    """Attention within windows, shifted by half a window in every other block."""

    def __init__(self, width: int, heads: int, window: int, shift: int):
        super().__init__()
        self._window, self._shift = window, shift
        self.norm1 = nn.LayerNorm(width)
        self.attn = _WindowAttention(width, heads, window)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = _Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, C] to the same."""
        rows, columns = x.shape[1:3]
        y = self.norm1(x).permute(0, 3, 1, 2)
        y = _padded(y, self._window).permute(0, 2, 3, 1)
        padded = y.shape[1:3]
        mask = None
        if self._shift:
            y = y.roll((-self._shift, -self._shift), (1, 2))
            mask = self._mask(*padded).to(x)
        windows = self.attn(_cut(y, self._window), mask)
        y = _join(windows, self._window, *padded)
        if self._shift:
            y = y.roll((self._shift, self._shift), (1, 2))
        x = x + y[:, :rows, :columns]
        return x + self.mlp(self.norm2(x))

    def _mask(self, rows: int, columns: int) -> Tensor:
        """A mask that separates the two ends which the shift joined: [windows, N, N]."""

        def part(length: int) -> Tensor:
            place = torch.arange(length)
            return (place >= length - self._window).int() + (place >= length - self._shift).int()

        parts = 3 * part(rows)[:, None] + part(columns)
        cut = _cut(parts[None, ..., None], self._window)[..., 0]
        apart = cut[:, None, :] != cut[:, :, None]
        return torch.zeros(apart.shape).masked_fill(apart, -torch.inf)


class _WindowAttention(nn.Module):
    relative_position_index: Tensor

    def __init__(self, width: int, heads: int, window: int):
        super().__init__()
        self._heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.register_buffer("relative_position_index", _relative_places(window))
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x: [B * windows, N, C]; mask: [windows, N, N] or None."""
        count, places, width = x.shape
        parts = self.qkv(x).reshape(count, places, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        if mask is not None:
            bias = (bias + mask[:, None]).repeat(count // len(mask), 1, 1, 1)
        seen = f.scaled_dot_product_attention(*parts, attn_mask=bias.expand(count, -1, -1, -1))
        return self.proj(seen.transpose(1, 2).reshape(count, places, width))


class _Mlp(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(width, _MLP_RATIO * width)
        self.fc2 = nn.Linear(_MLP_RATIO * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(f.gelu(self.fc1(x)))


def _relative_places(window: int) -> Tensor:
    """For each pair of places in a window, the row of the bias table: [N, N] int64."""
    places = torch.cartesian_prod(torch.arange(window), torch.arange(window))
    away = places[:, None] - places[None] + window - 1
    return away[..., 0] * (2 * window - 1) + away[..., 1]


def _padded(x: Tensor, multiple: int) -> Tensor:
    """[B, C, H, W] with zeros to the right and below, up to multiples."""
    height, width = x.shape[2:]
    return f.pad(x, (0, -width % multiple, 0, -height % multiple))


def _cut(x: Tensor, window: int) -> Tensor:
    """[B, H, W, C] to [B * windows, window^2, C]."""
    batch, rows, columns, width = x.shape
    x = x.reshape(batch, rows // window, window, columns // window, window, width)
    return x.transpose(2, 3).reshape(-1, window * window, width)


def _join(x: Tensor, window: int, rows: int, columns: int) -> Tensor:
    """The reverse of _cut."""
    x = x.reshape(-1, rows // window, columns // window, window, window, x.shape[-1])
    return x.transpose(2, 3).reshape(-1, rows, columns, x.shape[-1])
