"""The test vectors of FORMAT.md: values that the plain reader computes.

`python -m tests.vectors.format_examples` writes them into FORMAT.md; a test compares.
"""

import textwrap
from pathlib import Path

import numpy as np

from seec.pipeline.codec import encode, packaged_model
from seec.pipeline.codec.model.packaged import DEFAULT_PROFILE
from seec.schemas.container import Coding, SectionKind, parse
from tests.vectors import plain_adaptation, plain_decoder, plain_screen

FORMAT = Path(__file__).parents[2] / "schemas" / "FORMAT.md"
_HEADING = "## Test vectors of parts 1 to 3\n"
_FIRST = 8  # numbers shown of a long list
_INTRODUCTION = """
Numbers are decimal, bytes hexadecimal. A list that ends with `...` shows the first {first} numbers.

### A file of 8 x 4 pixels

The model is that of the profile `{profile}`, with the id

{model_id}

The file has {size} bytes:

{blob}

It decodes to these rows of pixels, each red, green, blue:

{pixels}

There is one section, a tile group of one tile. The label is 0, the border colour {border}.

"""


class _Recorder(plain_decoder.GroupDecoder):
    """Decodes a tile, and keeps what it computes for the first two pixels."""

    def __init__(self, model, words):
        super().__init__(model, 3, plain_decoder.RangeDecoder(words))
        self.pixels, self.parts, self.frequencies, self.coefficients = [], [], [], []

    def predict(self, tile, y, x):
        state = super().predict(tile, y, x)
        if y == 0 and x < 3:
            self.pixels.append(state[2])
            assert self.network is not None
            predictor = self.network.predictors[tile][0]
            self.coefficients.append([list(row) for row in predictor.strips[0].weights])
        return state

    def mixture(self, state, known, c):
        parts = super().mixture(state, known, c)
        self.parts.append(parts)
        return parts

    def high(self, parts, bins):
        return self._kept(super().high(parts, bins))

    def low(self, parts, bins, high):
        return self._kept(super().low(parts, bins, high))

    def _kept(self, frequencies):
        self.frequencies.append(frequencies)
        return frequencies


def image():
    """[4, 8, 3] uint8: a slope with a little texture, which is range coded."""
    y, x, c = np.mgrid[:4, :8, :3]
    return (90 + 5 * x + 3 * y + 11 * c + (x * x + 2 * y + c) % 3).astype(np.uint8)


def examples():
    """The text from its heading on."""
    return f"{_HEADING}{_file()}{_screen()}"


def _file():
    pixels, model = image(), packaged_model(DEFAULT_PROFILE)
    blob = encode(pixels, model=model)
    (section,) = parse(blob).sections
    assert (section.kind, section.coding) == (SectionKind.TILE_GROUP, Coding.RANGE)
    border, words = tuple(section.payload[:3]), section.payload[3:]
    tile = plain_decoder.Tile(4, 8, border, lambda y, x: 0, lambda y, x: 1, lambda y, x: [])
    recorder = _Recorder(plain_decoder.ModelFile(model.payload), words)
    recorder.run([tile])
    assert plain_decoder.decode(blob, model.payload)[3] == pixels.tobytes()
    text = _INTRODUCTION.format(
        first=_FIRST,
        profile=DEFAULT_PROFILE,
        model_id=_indented(model.id),
        size=len(blob),
        blob=_indented(blob.hex(" ")),
        pixels="\n".join(_indented(row.tobytes().hex(" ")) for row in pixels),
        border=", ".join(map(str, border)),
    )
    text += "".join(_pixel(recorder, tile, number) for number in range(2))
    before, after = recorder.coefficients[0], recorder.coefficients[2]
    lines = [
        line
        for c in range(3)
        for line in (
            _line(f"coef[{c}], regressors, before", before[c][:_FIRST], more=True),
            _line(f"coef[{c}], regressors, after", after[c][:_FIRST], more=True),
            *([_line(f"coef[{c}], residuals, before", before[c][-c:])] if c else []),
            *([_line(f"coef[{c}], residuals, after", after[c][-c:])] if c else []),
        )
    ]
    return f"{text}**Predictor 0** updates after step 1:\n\n" + "\n".join(lines) + "\n\n"


def _pixel(recorder, tile, number):
    """What is computed for pixel (0, number), and the gradients once it is known."""
    pixel, values = recorder.pixels[number], tile.pixels[0, number]
    model = recorder.model
    lines = [
        _line("med", pixel.med),
        _line("activities", [pixel.s]),
        *(
            line
            for p, guess in enumerate(pixel.guesses)
            for line in (
                _line(f"predictor {p}: trunk", guess.trunk),
                _line(f"predictor {p}: full", [guess.full(c, values[:c]) for c in range(3)]),
                _line(f"predictor {p}: base", [guess.base(c, values[:c]) for c in range(3)]),
                _line(f"predictor {p}: spread", guess.spread),
            )
        ),
        _line("context features", pixel.context[:_FIRST], more=True),
        _line("fused features", pixel.features[:_FIRST], more=True),
    ]
    k, count = model.profile["mixtures"], len(pixel.guesses)
    for c in range(3):
        _, hidden, parts = pixel.heard[c]
        params = model.layer("output_" + "rgb"[c], pixel.label, hidden)
        assert parts == recorder.parts[3 * number + c]
        high, low = recorder.frequencies[6 * number + 2 * c :][:2]
        named = {
            "pi": params[:k],
            "mu": params[k : 2 * k],
            "sigma": params[2 * k : 3 * k],
            "gamma": params[3 * k : 3 * k + count],
            "beta": params[3 * k + count :],
            "heaviness": [weight for weight, _, _ in parts],
            "mean": [mean for _, mean, _ in parts],
            "scale_index": [index for _, _, index in parts],
            "frequencies of the high nibble": high,
            "frequencies of the low nibble": low,
            "value": values[c : c + 1],
            "error": [pixel.guesses[0].error(c, values)],
            "gradients": plain_adaptation.slopes(model, parts, values[c]),
        }
        lines += ["", _line("hidden features", hidden[:_FIRST], more=True, channel=c)]
        lines += [_line(name, some, channel=c) for name, some in named.items() if some]
    return f"**Pixel (0, {number})**, step {number}:\n\n" + "\n".join(lines) + "\n\n"


class _KnownBit:
    """In place of a range decoder: always the same bit. edge: of the last decision."""

    def __init__(self, bit):
        self.bit, self.edge = bit, 0

    def split(self, edge):
        self.edge = edge
        return self.bit


def _screen():
    places = (-3000, -2047, -500, -1, 0, 1, 500, 2047)
    chances = (0, 1, 100, 32767, 32768, 32769, 65000, 65535)
    lines = [_line(f"squash({a})", [plain_screen.squash(a)]) for a in places]
    lines += [_line(f"stretch({a})", [plain_screen.STRETCH[a]]) for a in chances]
    lines += [_line(f"learn({a}, {n})", [plain_screen.step(a, n)]) for a, n in ((1000, 0), (-9, 4))]
    lines += [_line("hash(1, 2, 3)", [plain_screen.hashed(1, 2, 3)]), ""]
    slot = plain_screen.Slot()
    lines.append(_line("a fresh slot: chance, count", [slot.p, slot.n]))
    for bit in (1, 1, 0):
        slot.learn(bit)
        lines.append(_line(f"the slot after bit {bit}: chance, count", [slot.p, slot.n]))
    bit, inputs = _KnownBit(1), [slot.input(), (300, 2), (-150, 5)]
    decisions, curve = plain_screen.Decisions(bit), plain_screen.Decisions(bit).curves[0]
    decisions.bit([slot], inputs[1:], 0, 0, 0)
    weights = [decisions.weights["a", 0, n, kind] for n, (_, kind) in enumerate(inputs)]
    ((n, point),) = set(enumerate(decisions.curves[0])) - set(enumerate(curve))
    lines += [
        "",
        _line("inputs (number, class), the first of this slot", inputs),
        _line("chance of a 1, with fresh weights and a fresh curve", [65536 - bit.edge // 256]),
        _line("weights in A after bit 1", weights),
        _line(f"point {n} of the curve, before and after", [curve[n], point]),
        _line("the slot: chance, count", [slot.p, slot.n]),
    ]
    return "### Functions and a decision of screen coding\n\n" + "\n".join(lines) + "\n"


def _line(name, numbers, *, more=False, channel=None):
    where = "" if channel is None else f"channel {channel}: "
    text = f"{where}{name} = {', '.join(map(str, numbers))}{', ...' if more else ''}"
    return _indented(text)


def _indented(text):
    return textwrap.fill(text, 100, initial_indent=" " * 4, subsequent_indent=" " * 8)


def main():
    """Write them behind the other parts of FORMAT.md."""
    text = FORMAT.read_text("utf-8").split(_HEADING)[0].rstrip("\n")
    FORMAT.write_text(f"{text}\n\n{examples()}", "utf-8")


if __name__ == "__main__":
    main()
