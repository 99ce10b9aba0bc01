"""SIC (arXiv 2509.07704): the graph of its four transforms, over any arithmetic.

The graph is written once. The decoder runs it in integers (synthesis.py), training in floats
that hold the same integers (side_networks.py), and a model file is checked against the shapes
that it asks for. Hidden values have 7 fractional bits and lie in [-2047, 2047].
"""

# torch's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false

from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad, pixel_shuffle, pixel_unshuffle

from seec.pipeline.codec.model.profile import CHANNELS, SideSizes

LATENT_STRIDE = 16  # pixels per latent, in each direction
HYPER_STRIDE = 4  # latents per hyper-latent


class Arithmetic(Protocol):
    """What the graph is made of; x is [n, channels, height, width] throughout."""

    def layer(self, name: str, x: Tensor, out: int, kernel: int = 1, stride: int = 1) -> Tensor:
        """A convolution with odd kernel and zero padding; values are rounded and clamped."""
        ...

    def leak(self, x: Tensor) -> Tensor:
        """Leaky ReLU."""
        ...

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        """The clamped sum."""
        ...

    def normalise(self, name: str, x: Tensor, *, inverse: bool) -> Tensor:
        """Generalised divisive normalisation: x over, or times, a layer of |x|."""
        ...

    def attend(self, name: str, qkv: Tensor, heads: int, window: int, shift: int) -> Tensor:
        """Attention in windows: qkv [n, 3 C, h, w] to [n, C, h, w]."""
        ...


def analysis(ops: Arithmetic, x: Tensor, p: SideSizes) -> Tensor:
    """g_a: pixels [n, 3, 16 h, 16 w] to latents before rounding [n, latents, h, w]."""
    x = _down(ops, "g_a.0", x, p.transform)
    x = _down(ops, "g_a.1", x, p.transform)
    x = _swin(ops, "g_a.2", x, p, window=8)
    x = _down(ops, "g_a.3", x, p.transform)
    x = ops.layer("g_a.4", x, p.transform, kernel=3, stride=2)
    x = _swin(ops, "g_a.5", x, p, window=4)
    return ops.layer("g_a.6", x, p.latents)


def hyper_analysis(ops: Arithmetic, y: Tensor, p: SideSizes) -> Tensor:
    """h_a: latents [n, latents, 4 h, 4 w] to hyper-latents before rounding, [n, latents, h, w]."""
    x = ops.leak(ops.layer("h_a.0", y, p.latents))
    x = ops.leak(ops.layer("h_a.1", pixel_unshuffle(x, 2), p.latents))
    x = ops.leak(ops.layer("h_a.2", pixel_unshuffle(x, 2), p.latents))
    return ops.layer("h_a.3", x, p.latents)


def hyper_synthesis(ops: Arithmetic, z: Tensor, p: SideSizes) -> tuple[Tensor, Tensor]:
    """h_s: hyper-latents [n, latents, h, w] to means and log2-scales [n, latents, 4 h, 4 w]."""
    x = ops.leak(ops.layer("h_s.0", z, p.latents))
    x = ops.leak(pixel_shuffle(ops.layer("h_s.1", x, 4 * p.latents), 2))
    x = ops.leak(pixel_shuffle(ops.layer("h_s.2", x, 4 * p.latents), 2))
    mean, scale = ops.layer("h_s.3", x, 2 * p.latents).chunk(2, 1)
    return mean, scale


def synthesis(ops: Arithmetic, y: Tensor, p: SideSizes) -> Tensor:
    """g_s: latents [n, latents, h, w] to a feature vector per pixel, [n, features, 16 h, 16 w]."""
    x = ops.layer("g_s.0", y, p.transform)
    x = _swin(ops, "g_s.1", x, p, window=4)
    x = _up(ops, "g_s.2", x, p.transform)
    x = _up(ops, "g_s.3", x, p.transform)
    x = _swin(ops, "g_s.4", x, p, window=8)
    x = _up(ops, "g_s.5", x, p.transform)
    return pixel_shuffle(ops.layer("g_s.6", x, 4 * p.features, kernel=3), 2)


def _down(ops: Arithmetic, name: str, x: Tensor, width: int) -> Tensor:
    """Half the size: a residual block around GDN."""
    a = ops.leak(ops.layer(f"{name}.in", x, width, kernel=3))
    a = ops.layer(f"{name}.down", a, width, kernel=3, stride=2)
    a = ops.normalise(f"{name}.gdn", a, inverse=False)
    return ops.add(a, ops.layer(f"{name}.skip", pixel_unshuffle(x, 2), width))


def _up(ops: Arithmetic, name: str, x: Tensor, width: int) -> Tensor:
    """Twice the size: a residual block around inverse GDN."""
    a = pixel_shuffle(ops.layer(f"{name}.up", x, 4 * width, kernel=3), 2)
    a = ops.normalise(f"{name}.gdn", a, inverse=True)
    a = ops.leak(ops.layer(f"{name}.out", a, width, kernel=3))
    return ops.add(a, pixel_shuffle(ops.layer(f"{name}.skip", x, 4 * width), 2))


def _swin(ops: Arithmetic, name: str, x: Tensor, p: SideSizes, window: int) -> Tensor:
    """Attention in windows, then in windows shifted by half; nothing without heads."""
    for part, shift in enumerate((0, window // 2) if p.heads else ()):
        at, width = f"{name}.{part}", p.transform
        qkv = ops.layer(f"{at}.qkv", x, 3 * width)
        seen = ops.attend(f"{at}.position", qkv, p.heads, window, shift)
        x = ops.add(x, ops.layer(f"{at}.project", seen, width))
        hidden = ops.leak(ops.layer(f"{at}.widen", x, 2 * width))
        x = ops.add(x, ops.layer(f"{at}.narrow", hidden, width))
    return x


def split_windows(x: Tensor, window: int, shift: int) -> tuple[Tensor, Tensor]:
    """Cut [n, C, h, w] into windows: tokens [n * windows, window^2, C], and which are real.

    The second result is [n * windows, window^2] bool: padding is no token.
    """
    n, _, h, w = x.shape
    right, bottom = -(w + shift) % window, -(h + shift) % window
    real = pad(torch.ones((n, 1, h, w), device=x.device), (shift, right, shift, bottom))
    return _tokens(pad(x, (shift, right, shift, bottom)), window), _tokens(real, window)[..., 0] > 0


def join_windows(tokens: Tensor, like: Tensor, window: int, shift: int) -> Tensor:
    """Inverse of split_windows, for an image of the height and width of `like`."""
    n, _, h, w = like.shape
    rows, columns = -(-(h + shift) // window), -(-(w + shift) // window)
    x = tokens.reshape(n, rows, columns, window, window, -1).permute(0, 5, 1, 3, 2, 4)
    x = x.reshape(n, -1, rows * window, columns * window)
    return x[:, :, shift : shift + h, shift : shift + w]


def _tokens(x: Tensor, window: int) -> Tensor:
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // window, window, w // window, window)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(-1, window * window, c)


def position_index(window: int) -> Tensor:
    """Which entry of a table of (2 window - 1)^2 belongs to two tokens: [window^2, window^2]."""
    place = torch.arange(window * window)
    y, x = place // window, place % window
    away_y = y[:, None] - y + window - 1
    away_x = x[:, None] - x + window - 1
    return away_y * (2 * window - 1) + away_x


class Shapes:
    """An arithmetic that computes nothing and notes what it would need."""

    def __init__(self) -> None:
        """Nothing noted yet: layers as (outputs, inputs), positions as (heads, entries)."""
        self.layers: dict[str, tuple[int, int]] = {}
        self.positions: dict[str, tuple[int, int]] = {}

    def layer(self, name: str, x: Tensor, out: int, kernel: int = 1, stride: int = 1) -> Tensor:
        """Note a layer. Returns a tensor of the shape of its result."""
        n, c, h, w = x.shape
        self.layers[name] = (out, c * kernel * kernel)
        return x.new_empty((n, out, h // stride, w // stride))

    def leak(self, x: Tensor) -> Tensor:
        """Has no weights."""
        return x

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        """Has no weights."""
        return a

    def normalise(self, name: str, x: Tensor, *, inverse: bool) -> Tensor:
        """Note the layer of |x|."""
        return self.layer(name, x, x.shape[1])

    def attend(self, name: str, qkv: Tensor, heads: int, window: int, shift: int) -> Tensor:
        """Note the table of positions."""
        self.positions[name] = (heads, (2 * window - 1) ** 2)
        return qkv[:, : qkv.shape[1] // 3]


def shapes(p: SideSizes) -> tuple[dict[str, tuple[int, int]], dict[str, tuple[int, int]]]:
    """(outputs, inputs) of each layer, and (heads, entries) of each table of positions."""
    noted = Shapes()
    pixels = torch.empty((1, CHANNELS, 64, 64), device="meta")
    y = analysis(noted, pixels, p)
    hyper_synthesis(noted, hyper_analysis(noted, y, p), p)
    synthesis(noted, y, p)
    return noted.layers, noted.positions
