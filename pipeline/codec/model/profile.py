"""The sizes of a SEEC network and the integer scales shared by training and decoding.

Everything here is part of the archive format: a model file repeats the values it was
trained with, and a decoder refuses a file whose values it does not know.
"""

from dataclasses import asdict, dataclass
from typing import Any

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

# Networks with predictors only.
PREDICTOR_BITS = 12  # fractional bits of a predictor's weights
PREDICTOR_LIMIT = 32767
RIDGE = 2000  # keeps the divisors of the least-squares solution positive
ADAPTATION_BITS = 11  # fractional bits of what output layers learn
ADAPTATION_LIMIT = 2047


@dataclass(frozen=True)
class Predictor:
    """A local least-squares predictor, which learns while a tile is decoded.

    taps: how many of the nearest taps it sees. rows: height of the strips of a tile that have
    weights of their own. every: wavefront steps from one update to the next. sweeps: how often
    an update goes through the weights. forget: an update drops 2^-forget of what was learnt.
    """

    taps: int
    rows: int = 16
    every: int = 2
    sweeps: int = 2
    forget: int = 3

    @property
    def regressors(self) -> int:
        """The numbers that it predicts from, without the earlier channels of the pixel: T."""
        return CHANNELS * self.taps

    @property
    def nearest(self) -> tuple[int, ...]:
        """Its taps, as ascending indices of TAPS: the nearest, of equally near ones the lower."""
        return tuple(sorted(sorted(range(len(TAPS)), key=_distance)[: self.taps]))


@dataclass(frozen=True)
class Adaptation:
    """How layers learn while a tile is decoded.

    every: pixels of a tile between two steps. rate: step of the output layers, in 2^-11 of a
    weight. hidden_rate, fusion_rate: steps of the hidden layers of the entropy models and of the
    fusion, in 1/32 of the last bit of a weight; if both are 0, only output layers learn. means: 1
    if the hidden layers also learn from gamma and beta, and not only from pi, mu and sigma, else
    0. memory: 1 if half of a gradient sum stays after a step, else 0.
    """

    every: int
    rate: int
    hidden_rate: int = 0
    fusion_rate: int = 0
    means: int = 0
    memory: int = 0

    @property
    def deep(self) -> bool:
        """Whether layers before the output layers learn, too."""
        return self.hidden_rate > 0 or self.fusion_rate > 0


def _distance(tap: int) -> tuple[int, int]:
    dy, dx = TAPS[tap]
    return dy**2 + dx**2, -dy


@dataclass(frozen=True)
class SideSizes:
    """Sizes of the side information of a network (SIC).

    latents: channels of y and of z. features: numbers per pixel that g_s gives to the fusion.
    transform: width of g_a and g_s. heads: of their Swin attention; 0 is none.
    """

    latents: int
    features: int
    transform: int
    heads: int = 0


@dataclass(frozen=True)
class Profile:
    """Sizes of a network.

    width: features after the masked context convolution.
    fused: features after the 1 x 1 fusion.
    hidden: hidden features of each entropy model (SMEM); with predictors, of each channel.
    entropy_models: number of entropy models, 1..16; one label each.
    mixtures: logistic components per channel (MCDLM, K in the paper).
    side: of its side information; None is a network without SIC.
    predictors: none, or one to four; what they say goes into the network, which has no SIC then.
    adaptation: how layers learn while a tile is decoded, if they do; only with predictors.
    """

    name: str
    width: int
    fused: int
    hidden: int
    entropy_models: int
    mixtures: int
    side: SideSizes | None = None
    predictors: tuple[Predictor, ...] = ()
    adaptation: Adaptation | None = None

    @property
    def inputs(self) -> int:
        """Numbers per pixel that enter the context layer."""
        if not self.predictors:
            return INPUTS
        around = CHANNELS * len(ACTIVITY_TAPS)
        return INPUTS + around + 2 * CHANNELS * len(self.predictors)

    @property
    def features(self) -> int:
        """Numbers per pixel that side information gives to the fusion."""
        return 0 if self.side is None else self.side.features

    @property
    def head_inputs(self) -> tuple[int, ...]:
        """With predictors: what the entropy model of each channel sees beside the features.

        What each predictor says, and three numbers for each earlier channel of the pixel.
        """
        return 0, *(len(self.predictors) + 3 * channel for channel in range(1, CHANNELS))

    @property
    def channel_outputs(self) -> tuple[int, ...]:
        """With predictors: mixture parameters per channel, pi, mu, sigma, gamma and beta."""
        shared = 3 * self.mixtures + len(self.predictors)
        return tuple(shared + channel for channel in range(CHANNELS))

    @property
    def learns_deeply(self) -> bool:
        """Whether more than output layers learns."""
        return self.adaptation is not None and self.adaptation.deep

    @property
    def adapted_outputs(self) -> int:
        """The first outputs of each channel, which can learn: pi, mu and sigma."""
        return 3 * self.mixtures

    @property
    def outputs(self) -> int:
        """Mixture parameters per pixel: pi, mu, sigma and beta of 3 channels, and gamma."""
        return sum(self.channel_outputs) if self.predictors else 4 * CHANNELS * self.mixtures

    def as_dict(self) -> dict[str, Any]:
        """The sizes by name, as a card holds them: without predictors and adaptation if none.

        Those of SIC are among the others, and 0 without it.
        """
        sizes = asdict(self)
        del sizes["side"]
        sizes |= asdict(self.side or SideSizes(0, 0, 0))
        sizes["predictors"] = [asdict(p) for p in self.predictors]
        if self.adaptation:
            adaptation = asdict(self.adaptation)
            sizes["adaptation"] = {
                k: v for k, v in adaptation.items() if v or k in ("every", "rate")
            }
        return {k: v for k, v in sizes.items() if v or k not in ("predictors", "adaptation")}


_NEAR = Predictor(taps=12)
_FAR = Predictor(taps=20, rows=32, every=4)
_CLOSE = Predictor(taps=6, rows=4, every=1)
_TOUCHING = Predictor(taps=3, rows=4, every=1, forget=2)

FAST = Profile(
    name="fast",
    width=32,
    fused=32,
    hidden=16,
    entropy_models=1,
    mixtures=3,
    predictors=(_NEAR,),
)
LITE = Profile(
    name="lite",
    width=96,
    fused=96,
    hidden=32,
    entropy_models=4,
    mixtures=4,
    predictors=(_NEAR, _FAR),
    adaptation=Adaptation(every=512, rate=8),
)
MAX = Profile(
    name="max",
    width=320,
    fused=320,
    hidden=64,
    entropy_models=4,
    mixtures=4,
    predictors=(_NEAR, _FAR, _CLOSE, _TOUCHING),
    adaptation=Adaptation(every=64, rate=1, hidden_rate=1, fusion_rate=1, means=1, memory=1),
)
# SIC at a size for CPUs. No weights are packaged.
LITE_SIC = Profile(
    name="lite-sic",
    width=96,
    fused=96,
    hidden=64,
    entropy_models=4,
    mixtures=5,
    side=SideSizes(latents=8, features=16, transform=16),
)
# The sizes of the paper. No weights are packaged: training takes a GPU and days.
PAPER = Profile(
    name="paper",
    width=256,
    fused=256,
    hidden=256,
    entropy_models=2,
    mixtures=5,
    side=SideSizes(latents=192, features=256, transform=192, heads=8),
)
PROFILES = {p.name: p for p in (FAST, LITE, MAX, LITE_SIC, PAPER)}
