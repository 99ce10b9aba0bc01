"""Adaptive probabilities of binary decisions, mixed in the logistic domain: integers only.

The same as `screen_c/predictor.h`, to the last bit. FORMAT.md states every rule.
"""

from dataclasses import dataclass, field

from seec.pipeline.codec.screen.coder import BitDecoder, BitEncoder

LOGIT_LIMIT = 2047
MOST_SEEN = 127
FRESH = 1 << 31  # a slot: probability 1/2 in 22 bits, seen never in 10
_SEEN_CLASSES = 8
_MOST_WEIGHT = 1 << 20
_FIRST_WEIGHT = 1 << 13
_KNOT_STEPS = 24
_MASK = (1 << 32) - 1

Slots = list[int]
Slot = tuple[Slots, int]  # a list of slots, and which of them


def _squash_table() -> list[int]:
    table, e = [0] * 4096, 1 << 20
    for t in range(LOGIT_LIMIT + 1):
        p = (e << 16) // (e + (1 << 20))
        table[2048 + t], table[2048 - t] = p, (1 << 16) - p
        e += (e * 98591) >> 24
    return table


_SQUASH = _squash_table()


def _stretch_table() -> list[int]:
    table, t = [0] * (1 << 16), -LOGIT_LIMIT
    for p in range(1 << 16):
        while t < LOGIT_LIMIT and _SQUASH[2048 + t] < p:
            t += 1
        table[p] = t
    return table


STRETCH = _stretch_table()
_RATE = [131072 // (2 * n + 3) for n in range(2 * MOST_SEEN)]
_SEEN_CLASS = [min(n, 3) + (n > 3) + (n > 5) + (n > 11) + (n > 31) for n in range(MOST_SEEN + 1)]


def clamp(value: int, low: int, high: int) -> int:
    """The nearest value in [low, high]."""
    return low if value < low else high if value > high else value


def squash(t: int) -> int:
    """The probability, of 65536, of a logit."""
    return _SQUASH[2048 + clamp(t, -LOGIT_LIMIT, LOGIT_LIMIT)]


def step_of(distance: int, seen: int) -> int:
    """How far a value moves that has adapted `seen` times."""
    return (distance * _RATE[seen]) >> 16


def chain(value: int, *more: int) -> int:
    """A hash of 32 bits of what comes after the first value, which it starts from."""
    for v in more:
        value = ((value ^ v) * 0x2C1B3C6D) & _MASK
        value ^= value >> 15
    return value


def place_of(value: int, bits: int) -> int:
    """Where in a table of 2^bits entries a hash belongs."""
    return (value * 0x9E3779B1 & _MASK) >> (32 - bits)


class Store:
    """Lines of 16 slots for contexts, found by their hashes; the first slot is a check."""

    def __init__(self, bits: int):
        self._bits = bits
        self._lines: list[Slots | None] = [None] * (1 << bits)

    def line(self, value: int) -> Slots:
        """The line of a context: found, or begun where one of two places was used less."""
        place, check = place_of(value, self._bits), value * 0x9E3779B1 & 0xFFFF
        both = [self._at(place), self._at(place ^ 1)]
        for line in both:
            uses = line[0] & 0xFFFF
            if uses and line[0] >> 16 == check:
                line[0] += uses < 255
                return line
        uses = [line[0] & 0xFFFF for line in both]
        out = int(uses[1] < uses[0])
        both[1 - out][0] -= uses[1 - out] >> 2
        both[out][:] = [check << 16 | 1] + [FRESH] * 15
        return both[out]

    def _at(self, place: int) -> Slots:
        line = self._lines[place]
        if line is None:
            line = self._lines[place] = [0] * 16
        return line


@dataclass
class Decision:
    """A decision about to be coded.

    slots: the adaptive probabilities that are mixed for it. extras: logits from elsewhere, with
    their classes. first, second: which sets of weights apply; correction: which curve.
    """

    slots: list[Slot]
    first: int
    second: int
    correction: int
    extras: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])


class Mixer:
    """The mixing weights of a kind of decision, and a curve that corrects the outcome."""

    def __init__(self, coder: BitEncoder | BitDecoder):
        self._coder = coder
        self._first: dict[int, list[int]] = {}
        self._second: dict[int, list[int]] = {}
        self._corrections: dict[int, list[int]] = {}

    def decide(self, decision: Decision, bit: int) -> int:
        """Code `bit`, or decode it, and let all that spoke for it learn."""
        first = self._first.setdefault(decision.first, [_FIRST_WEIGHT] * 9 * _SEEN_CLASSES)
        second = self._second.setdefault(decision.second, [_FIRST_WEIGHT] * 9 * _SEEN_CLASSES)
        inputs = [_input(slots[at]) for slots, at in decision.slots] + decision.extras
        places = [_SEEN_CLASSES * i + seen for i, (_, seen) in enumerate(inputs)]
        total = sum(
            t * (first[place] + second[place]) for (t, _), place in zip(inputs, places, strict=True)
        )
        t = clamp(total >> 16, -LOGIT_LIMIT, LOGIT_LIMIT)
        mixed = squash(t)
        curve = self._corrections.setdefault(decision.correction, _straight())
        knot, part = divmod((t + 2048) * _KNOT_STEPS, 4096)
        corrected = (curve[knot] * (4096 - part) + curve[knot + 1] * part) >> 12
        bit = self._coder.code(bit, clamp((mixed + 3 * corrected + 2) >> 2, 1, 65535))

        error = (bit << 16) - mixed
        for (t, _), place in zip(inputs, places, strict=True):
            step = (t * error + (1 << 15)) >> 16
            for weights in (first, second):
                weights[place] = clamp(weights[place] + step, -_MOST_WEIGHT, _MOST_WEIGHT)
        for slots, at in decision.slots:
            slots[at] = _learned(slots[at], bit)
        nearer = knot + (part >= 2048)
        curve[nearer] += ((bit << 16) - bit - curve[nearer]) >> 5
        return bit


def _straight() -> list[int]:
    return [squash(k * 4096 // _KNOT_STEPS - 2048) for k in range(_KNOT_STEPS + 1)]


def _input(slot: int) -> tuple[int, int]:
    seen = slot & 1023
    return (STRETCH[slot >> 16] if seen else 0), _SEEN_CLASS[seen]


def _learned(slot: int, bit: int) -> int:
    p, seen = slot >> 10, slot & 1023
    p += step_of((bit << 22) - bit - p, seen)
    return p << 10 | min(seen + 1, MOST_SEEN)
