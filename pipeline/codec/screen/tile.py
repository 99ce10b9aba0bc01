"""The pixels of a tile, row by row: guesses at the neighbours' colours, else the colour itself.

The same as `screen_c/tile.h`, to the last bit. A colour is red + 256 green + 65536 blue, or the
gray level. FORMAT.md states every rule.
"""

from dataclasses import dataclass

from seec.pipeline.codec.screen.coder import BitDecoder, BitEncoder
from seec.pipeline.codec.screen.predictor import (
    FRESH,
    MOST_SEEN,
    STRETCH,
    Decision,
    Mixer,
    Store,
    chain,
    clamp,
    place_of,
    squash,
    step_of,
)

_MATCH, _KINDS = 2, 5
_MISSED = _KINDS + 1
_LONGEST_CHECK, _SHORTEST_MATCH = 32, 3
_MEMORY_BITS = 8, 18
_ORDER = (1, 2, 0)  # green, blue, red
_PAIRS = (
    "w n", "w nw", "n nw", "n ne", "w ww", "n nn", "w ne", "nw nww", "ne nee", "nn nne", "nn nnw",
    "ww www", "ww nww", "nnn nn", "nw nnw", "ne nne", "ww nw", "nw nn", "ne nn",
)  # fmt: skip
_AT = {
    "w": (0, -1), "ww": (0, -2), "www": (0, -3), "n": (-1, 0), "nw": (-1, -1), "ne": (-1, 1),
    "nww": (-1, -2), "nee": (-1, 2), "nn": (-2, 0), "nnw": (-2, -1), "nne": (-2, 1), "nnn": (-3, 0),
}  # fmt: skip
_FARTHER = ((-2, 2), (-2, -2), (-1, 3), (-1, -3), (-3, 0), (-3, 1), (-3, -1))


class _Canvas:
    """The colours of a tile so far, and the outcomes of their guesses."""

    def __init__(self, height: int, width: int):
        self.width = width
        self.colours = [0] * (height * width)
        self.outcomes = [0] * (height * width)

    def colour(self, y: int, x: int) -> int:
        """0 above the tile; beside it the first pixel above, or the last of the row."""
        if y < 0 or (not y and x < 0):
            return 0
        if x < 0:
            return self.colours[(y - 1) * self.width]
        return self.colours[y * self.width + min(x, self.width - 1)]

    def outcome(self, y: int, x: int) -> int:
        """1 + the kind of the right guess, 6 if all missed, 0 outside the tile."""
        return self.outcomes[y * self.width + x] if y >= 0 and 0 <= x < self.width else 0


class _Neighbours:
    """What surrounds a pixel, and hashes of it."""

    def __init__(self, canvas: _Canvas, y: int, x: int):
        def at(dy: int, dx: int) -> int:
            return canvas.colour(y + dy, x + dx)

        def outcome(dy: int, dx: int) -> int:
            return canvas.outcome(y + dy, x + dx)

        c = self.colours = {name: at(*place) for name, place in _AT.items()}
        self.close = chain(1, c["w"], c["n"])
        self.four = chain(self.close, c["nw"], c["ne"])
        self.around = chain(self.four, c["ww"], c["nn"])
        self.far = chain(self.around, c["nne"], c["nee"], c["nww"], c["nnw"], c["www"])
        self.farther = chain(self.far, *(at(*place) for place in _FARTHER))
        pairs = (pair.split() for pair in _PAIRS)
        self.equal = sum((c[a] == c[b]) << i for i, (a, b) in enumerate(pairs))
        near = [outcome(0, -1), outcome(-1, 0), outcome(-1, -1), outcome(-1, 1)]
        self.misses = near.count(_MISSED)
        self.outcomes = sum(o << 3 * i for i, o in enumerate(near))
        self.more_outcomes = outcome(0, -2) | outcome(-2, 0) << 3 | outcome(-1, 2) << 6

    def channel(self, name: str, c: int) -> int:
        return _channel(self.colours[name], c)


class _Match:
    """A run of earlier pixels that agrees with the latest ones."""

    def __init__(self) -> None:
        self.next, self.length = 0, 0

    def find(self, places: dict[int, int], key: int, canvas: _Canvas, at: int) -> None:
        """Look where the neighbourhood was last seen, unless a match goes on."""
        pixels, w = canvas.colours, canvas.width
        start = places.get(key)
        if not self.length and start is not None:
            length = 0
            while (
                length < min(_LONGEST_CHECK, start)
                and pixels[start - 1 - length] == pixels[at - 1 - length]
            ):
                length += 1
            if length >= _SHORTEST_MATCH:
                above = start >= w and pixels[start - w] == pixels[at - w]
                self.next, self.length = start, length if above else min(length, 4)
        places[key] = at


@dataclass
class _Follower:
    """A colour that followed a context, and how sure it is, 0 to 3."""

    colour: int = 0
    sure: int = 0

    def agrees(self, colour: int) -> int:
        return 1 + (self.colour == colour) if self.sure else 0

    def learn(self, colour: int) -> None:
        if self.sure and self.colour == colour:
            self.sure = min(self.sure + 1, 3)
        elif self.sure > 1:
            self.sure -= 1
        else:
            self.colour, self.sure = colour, 1


@dataclass
class _Unit:
    """How a prediction has erred so far in one context: bias 1/4096, error 1/1024 of a level."""

    bias: int = 0
    error: int = 1024
    seen: int = 0


class _Expected:
    """A prediction as the distribution of a level: logistic, around `mean` / 16."""

    def __init__(self, unit: _Unit, prediction: int):
        error = unit.error >> 6
        self._unit = unit
        self._mean = 16 * prediction + (unit.bias >> 8)
        self._steepness = (237 << 8) // (error + 2)
        self.size = clamp(error.bit_length() - 2, 0, 7)

    def upper_half(self, low: int, size: int) -> int:
        """The logit of the upper half of the levels from `low` to `low + size - 1`."""
        begin, middle, end = (self._below(v) for v in (low, low + size // 2, low + size))
        return STRETCH[clamp(((end - middle + 1) << 16) // (end - begin + 2), 1, 65535)]

    def learn(self, level: int) -> None:
        """Move bias and error towards what was right."""
        unit, distance = self._unit, 16 * level - self._mean
        unit.bias += step_of(distance * 256, unit.seen + 4)
        unit.error += step_of(abs(distance) * 64 - unit.error, unit.seen)
        unit.seen = min(unit.seen + 1, MOST_SEEN)

    def _below(self, level: int) -> int:
        if level in (0, 256):
            return level << 8
        return squash(((16 * level - 8 - self._mean) * self._steepness) >> 8)


class ScreenCoder:
    """Codes or decodes the tiles of one group, which share all that is learnt."""

    def __init__(self, coder: BitEncoder | BitDecoder, pixels: int, channels: int):
        """pixels: of all tiles of the group."""
        self._channels = channels
        self._bits = clamp((pixels - 1).bit_length(), *_MEMORY_BITS)
        self._store = Store(self._bits)
        self._guesses, self._samples = Mixer(coder), Mixer(coder)
        self._by_match = [FRESH] * (12 * 3 * _KINDS)
        self._by_follower = [FRESH] * (12 * 12 * _KINDS)
        self._wide: dict[int, _Follower] = {}
        self._narrow: dict[int, _Follower] = {}
        self._units: dict[tuple[int, int, int, int], _Unit] = {}

    def code_tile(self, height: int, width: int, wanted: list[int] | None) -> list[int]:
        """The colours of a tile in raster order; wanted: those to encode, None to decode."""
        canvas, match, places = _Canvas(height, width), _Match(), dict[int, int]()
        for at in range(height * width):
            near = _Neighbours(canvas, *divmod(at, width))
            match.find(places, place_of(near.far, self._bits), canvas, at)
            matched = canvas.colours[match.next] if match.length else None
            wide = self._wide.setdefault(place_of(near.around, self._bits), _Follower())
            narrow = self._narrow.setdefault(place_of(near.close, self._bits), _Follower())
            colour = wanted[at] if wanted is not None else -1
            size = min(match.length.bit_length(), 11)
            outcome, colour = self._guess(near, matched, size, (wide, narrow), colour)
            if outcome == _MISSED:
                colour = self._code_colour(near, colour)
            canvas.colours[at], canvas.outcomes[at] = colour, outcome
            hit = match.length and matched == colour
            match.next, match.length = match.next + 1, match.length + 1 if hit else 0
            wide.learn(colour)
            narrow.learn(colour)
        return canvas.colours

    def _guess(
        self,
        near: _Neighbours,
        matched: int | None,
        size: int,
        followers: tuple[_Follower, _Follower],
        colour: int,
    ) -> tuple[int, int]:
        """Try the colours around: the outcome, and the colour if one was right."""
        c, equal = near.colours, near.equal
        hashes = (
            near.four,
            near.far,
            near.close,
            chain(2, equal),
            chain(3, near.outcomes, near.more_outcomes, equal & 15),
            chain(4, equal & 2047, near.outcomes << 4 | size),
            near.farther,
        )
        lines = [self._store.line(h) for h in hashes]
        wide, narrow = followers
        tried: list[int] = []
        for kind, guess in enumerate((c["w"], c["n"], matched, c["ne"], c["nw"])):
            if guess is None or guess in tried:
                continue
            match = 1 + (matched == guess) if matched is not None else 0
            agree = wide.agrees(guess), narrow.agrees(guess)
            both = (agree[0] * 4 + wide.sure) * 12 + agree[1] * 4 + narrow.sure
            first = kind * 16 + size
            decision = Decision(
                [(line, 1 + kind) for line in lines]
                + [(self._by_match, (size * 3 + match) * _KINDS + kind)]
                + [(self._by_follower, both * _KINDS + kind)],
                first,
                ((match * 3 + agree[0]) * 3 + agree[1]) * 8 + len(tried),
                first * 8 + (equal & 7),
            )
            if self._guesses.decide(decision, int(guess == colour)):
                return 1 + kind, guess
            tried.append(guess)
        return _MISSED, colour

    def _code_colour(self, near: _Neighbours, colour: int) -> int:
        """The colour of a missed pixel, channel by channel."""
        order = _ORDER if self._channels == 3 else (0,)
        total = sum(
            abs(near.channel(a, c) - near.channel(b, c))
            for a, b in (("w", "nw"), ("n", "nw"), ("n", "ne"), ("w", "ww"))
            for c in order
        )
        activity = min((total // self._channels).bit_length(), 7)
        decoded, known, difference = 0, 0, 0
        for number, c in enumerate(order):
            med = _median(*(near.channel(name, c) for name in ("w", "n", "nw")))
            first, second = self._predictions(near, c, number, med + difference, decoded)
            spread = min(abs(difference), 15) if number else activity
            expected = [
                _Expected(self._unit(0, number, activity, near.misses), first),
                _Expected(self._unit(1, number, spread, activity >> 1), second),
            ]
            last = difference if number else near.channel("ne", c) - near.channel("nw", c)
            slope = near.channel("w", c) - near.channel("n", c)
            w, n, seed = near.colours["w"], near.colours["n"], 16 + 8 * number
            hashes = [
                chain(seed, known),
                chain(seed + 1, known, w),
                chain(seed + 2, known, n),
                chain(seed + 3, known, w, n),
                chain(seed + 4, known, near.four),
                chain(seed + 5, first, slope + 256, last + 512),
            ]
            places = number, activity, near.misses
            level = self._code_sample(hashes, expected, places, _channel(colour, c))
            difference = difference if number else level - med
            decoded |= level << 8 * c
            known = known << 8 | level
        return decoded

    def _predictions(
        self, near: _Neighbours, c: int, number: int, level: int, decoded: int
    ) -> tuple[int, int]:
        w, n, nw, ne = (near.channel(name, c) for name in ("w", "n", "nw", "ne"))
        if number:
            first = _ORDER[0]
            green = 2 * _channel(decoded, first) - near.channel("w", first)
            second = (2 * level + w + n + green - near.channel("n", first)) >> 2
        else:
            second = (2 * w + 2 * n + ne - nw) >> 2
        return clamp(level, 0, 255), clamp(second, 0, 255)

    def _unit(self, *context: int) -> _Unit:
        predictor, number, a, b = context
        return self._units.setdefault((predictor, number, a, b), _Unit())

    def _code_sample(
        self,
        hashes: list[int],
        expected: list[_Expected],
        places: tuple[int, int, int],
        level: int,
    ) -> int:
        number, activity, misses = places
        low, node = 0, 1
        lines: list[list[int]] = []
        for b in range(7, -1, -1):
            if b in (7, 3):
                node = 1
                lines = [self._store.line(h if b == 7 else chain(h, low + 1)) for h in hashes]
            place = number * 8 + b
            first = place * 8 + activity
            decision = Decision(
                [(line, node) for line in lines],
                first,
                place * 5 + misses,
                first * 8 + expected[0].size,
                [(e.upper_half(low, 2 << b), e.size) for e in expected],
            )
            bit = self._samples.decide(decision, level >> b & 1)
            node = 2 * node + bit
            low += bit << b
        for e in expected:
            e.learn(low)
        return low


def _channel(colour: int, c: int) -> int:
    return colour >> 8 * c & 255


def _median(w: int, n: int, nw: int) -> int:
    return sorted((w, n, w + n - nw))[1]
