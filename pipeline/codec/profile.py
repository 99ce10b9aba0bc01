"""The sizes of a SEEC network and the integer scales shared by training and decoding.

Everything here is part of the archive format: a model file repeats the values it was
trained with, and a decoder refuses a file whose values it does not know.
"""

from dataclasses import asdict, dataclass

# The causal neighbourhood ("3p" mask): 7 x 7, three rows up, without the two taps
# right of the column + 1 in the row above, so that pixel (i, j) can be decoded at
# wavefront step 2 i + j (arXiv 2509.07704, masked convolution).
TAPS: tuple[tuple[int, int], ...] = (
    *((-3, dx) for dx in range(-3, 4)),
    *((-2, dx) for dx in range(-3, 4)),
    *((-1, dx) for dx in range(-3, 2)),
    *((0, dx) for dx in range(-3, 0)),
)
W, WW = TAPS.index((0, -1)), TAPS.index((0, -2))
N, NN = TAPS.index((-1, 0)), TAPS.index((-2, 0))
NW, NE = TAPS.index((-1, -1)), TAPS.index((-1, 1))
ACTIVITY_TAPS = (W, WW, N, NW, NE, NN)

CHANNELS = 3
INPUTS = CHANNELS * len(TAPS) + 2 * CHANNELS

INPUT_LIMIT = 127  # network inputs lie in [-127, 127], with 5 fractional bits
INPUT_BITS = 5
HIDDEN_LIMIT = 2047  # hidden features and outputs lie in [-2047, 2047]
HIDDEN_BITS = 7
OUTPUT_BITS = 6
LEAK_SHIFT = 3  # leaky ReLU: negative values are shifted right by this much
WEIGHT_LIMIT = 127
WEIGHT_BITS_RANGE = (3, 12)  # fractional bits a weight row may have

BETA_LIMIT = 96  # beta has OUTPUT_BITS fractional bits, so |beta| <= 1.5
SCALE_COUNT = 176  # scales are 2 ** ((index - 64) / 16) pixel values
SCALE_BIAS = 48  # index = (output >> 2) + log-activity + SCALE_BIAS


@dataclass(frozen=True)
class Profile:
    """Sizes of a network.

    width: features after the masked context convolution.
    fused: features after the 1 x 1 fusion.
    expert_hidden: hidden features of each entropy model (SMEM expert).
    experts: number of entropy models, 1..16; one label each.
    mixtures: logistic components per channel (MCDLM, K in the paper).
    latents: channels of y and of z (SIC); 0 is a network without SIC, as are the other three.
    features: numbers per pixel that g_s gives to the fusion.
    transform: width of g_a and g_s.
    heads: of their Swin attention; 0 is none.
    """

    name: str = "lite"
    width: int = 96
    fused: int = 96
    expert_hidden: int = 64
    experts: int = 4
    mixtures: int = 5
    latents: int = 0
    features: int = 0
    transform: int = 0
    heads: int = 0

    @property
    def outputs(self) -> int:
        """Mixture parameters per pixel: pi, mu, sigma and beta of 3 channels."""
        return 4 * CHANNELS * self.mixtures

    def as_dict(self) -> dict[str, int | str]:
        """The sizes by name, as a model card holds them."""
        return asdict(self)


LITE = Profile()
# `lite` with SIC at a size that suits it.
LITE_SIC = Profile(name="lite-sic", latents=8, features=16, transform=16)
# The sizes of the paper. Nothing shipped depends on it: it wants a GPU and days.
PAPER = Profile(
    name="paper",
    width=256,
    fused=256,
    expert_hidden=256,
    experts=2,
    mixtures=5,
    latents=192,
    features=256,
    transform=192,
    heads=8,
)
PROFILES = {p.name: p for p in (LITE, LITE_SIC, PAPER)}
