"""A `.seec` decoder written from FORMAT.md alone, in plain Python: slow, and independent.

It shares no code with the project, so it fails where the specification and the code part.
"""

import hashlib
import json
import struct
from itertools import pairwise


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def single(x):
    """The nearest IEEE 754 single-precision number."""
    return struct.unpack("<f", struct.pack("<f", x))[0]


def clamp(x, low, high):
    return max(low, min(high, x))


def leak(values):
    return [max(y, y >> 3) for y in values]


class ModelFile:
    """Part 2."""

    def __init__(self, data):
        size = struct.unpack_from("<Q", data)[0]
        header = json.loads(data[8 : 8 + size])
        self.short_id = hashlib.sha256(data).digest()[:8]
        self.profile = json.loads(header.pop("__metadata__")["card"])["profile"]
        self.tensors = {}
        for name, entry in header.items():
            start, end = entry["data_offsets"]
            raw = data[8 + size + start : 8 + size + end]
            code = {"I8": "b", "I32": "i"}[entry["dtype"]]
            values = struct.unpack(f"<{len(raw) // struct.calcsize(code)}{code}", raw)
            self.tensors[name] = (entry["shape"], values)

    def table(self, name):
        return self.tensors[f"table.{name}"][1]

    def layer(self, name, group, x):
        (_, rows, columns), weight = self.tensors[f"{name}.weight"]
        bias, shift = self.tensors[f"{name}.bias"][1], self.tensors[f"{name}.shift"][1]
        out = []
        for o in range(rows):
            row = (group * rows + o) * columns
            total = bias[group * rows + o] + (1 << (shift[group * rows + o] - 1))
            total += sum(w * v for w, v in zip(weight[row : row + columns], x, strict=True))
            out.append(clamp(total >> shift[group * rows + o], -2047, 2047))
        return out


class RangeDecoder:
    """Part 3, range coder."""

    def __init__(self, payload):
        self.words = list(struct.unpack(f"<{len(payload) // 4}I", payload))
        self.position = 0
        self.range = (1 << 64) - 1
        self.ahead = self.word() << 32
        self.ahead |= self.word()

    def word(self):
        self.position += 1
        return self.words[self.position - 1] if self.position <= len(self.words) else 0

    def symbol(self, frequencies):
        n = len(frequencies)
        q = single(single((1 << 24) - n) / single(sum(frequencies)))
        inner = [int(single(single(sum(frequencies[:s])) * q)) + s for s in range(1, n)]
        edges = [0, *inner, 1 << 24]
        scale = self.range >> 24
        quantile = self.ahead // scale
        assert quantile < 1 << 24
        symbol = max(s for s in range(n) if edges[s] <= quantile)
        self.ahead -= scale * edges[symbol]
        self.range = scale * (edges[symbol + 1] - edges[symbol])
        if self.range < 1 << 32:
            self.range <<= 32
            self.ahead = self.ahead << 32 | self.word()
        return symbol

    def check_end(self):
        assert not self.words or len(self.words) <= self.position <= len(self.words) + 1


def decode_labels(payload, rows, columns, experts):
    coder, counts, labels = RangeDecoder(payload), {}, []
    for y in range(rows):
        labels.append([])
        for x in range(columns):
            west = labels[y][x - 1] if x else experts
            north = labels[y - 1][x] if y else experts
            own = counts.setdefault((west, north), [1] * experts)
            label = coder.symbol(own)
            own[label] += 8
            if own[label] > 4096:
                own[:] = [(count + 1) // 2 for count in own]
            labels[y].append(label)
    coder.check_end()
    return labels


TAPS = [
    *[(-3, dx) for dx in range(-3, 4)],
    *[(-2, dx) for dx in range(-3, 4)],
    *[(-1, dx) for dx in range(-3, 2)],
    *[(0, dx) for dx in range(-3, 0)],
]
NEAR = [TAPS.index(t) for t in ((0, -1), (0, -2), (-1, 0), (-1, -1), (-1, 1), (-2, 0))]
W, N, NW = TAPS.index((0, -1)), TAPS.index((-1, 0)), TAPS.index((-1, -1))


class Tile:
    """A tile with its margins: pixels by (y, x), three channels each."""

    def __init__(self, height, width, border, labels, widths):
        self.height, self.width, self.border = height, width, border
        self.labels, self.widths = labels, widths
        self.pixels = {}

    def at(self, y, x):
        if y < 0 or (y == 0 and x < 0):
            return self.border
        if x < 0:
            return self.pixels[y - 1, 0]
        return self.pixels[y, min(x, self.width - 1)]


class Bins:
    """The bins of a sub-pixel: `width` values each, one of them around the prediction."""

    def __init__(self, width, med):
        self.width = width
        away = (med - (width >> 1)) % width if width else 0
        self.first = away - width if away else 0

    def bound(self, j):
        return clamp(self.first + j * self.width, 0, 256)

    def value(self, j):
        return clamp(self.first + j * self.width + (self.width >> 1), 0, 255)


class GroupDecoder:
    """Part 3, a range coded tile group."""

    def __init__(self, model, channels, coder):
        self.model, self.channels, self.coder = model, channels, coder
        self.k = model.profile["mixtures"]

    def run(self, tiles):
        steps = max(2 * (t.height - 1) + t.width for t in tiles)
        for t in range(steps):
            pixels = [
                (tile, y, t - 2 * y)
                for tile in tiles
                for y in range(tile.height)
                if 0 <= t - 2 * y < tile.width
            ]
            states = [self.predict(tile, y, x) for tile, y, x in pixels]
            known = [[] for _ in pixels]
            for channel in range(self.channels):
                parts = [self.mixture(s, k, channel) for s, k in zip(states, known, strict=True)]
                bins = [
                    Bins(tile.widths(y, x), state[0][channel])
                    for (tile, y, x), state in zip(pixels, states, strict=True)
                ]
                coded = [n for n, b in enumerate(bins) if b.width]
                high = {n: self.coder.symbol(self.high(parts[n], bins[n])) for n in coded}
                low = {n: self.coder.symbol(self.low(parts[n], bins[n], high[n])) for n in coded}
                for n, values in enumerate(known):
                    if n in high:
                        values.append(bins[n].value(16 * high[n] + low[n]))
                    else:
                        weights = [weight for weight, _, _ in parts[n]]
                        _, mean, _ = parts[n][weights.index(max(weights))]
                        values.append(clamp((mean + 32) >> 6, 0, 255))
            for (tile, y, x), value in zip(pixels, known, strict=True):
                tile.pixels[y, x] = tuple(value * 3 if self.channels == 1 else value)
        self.coder.check_end()

    def predict(self, tile, y, x):
        model = self.model
        taps = [tile.at(y + dy, x + dx) for dy, dx in TAPS]
        med, activity, inputs = [], [], []
        differences = []
        for c in range(3):
            w, n, nw = taps[W][c], taps[N][c], taps[NW][c]
            med.append(sorted([w, n, w + n - nw])[1])
            differences.append([tap[c] - med[c] for tap in taps])
            activity.append(sum(abs(differences[c][k]) for k in NEAR))
        r = model.table("reciprocal")[sum(activity)]
        for c in range(3):
            inputs += [clamp((d * r + 2048) >> 12, -127, 127) for d in differences[c]]
        inputs += [model.table("log_activity")[a] - 32 for a in activity]
        inputs += [(m - 128) >> 1 for m in med]
        label = tile.labels(y, x)
        features = leak(model.layer("fusion", 0, leak(model.layer("context", 0, inputs))))
        params = model.layer(
            "expert_output", label, leak(model.layer("expert_hidden", label, features))
        )
        return med, activity, params

    def mixture(self, state, known, c):
        (med, activity, params), k, model = state, self.k, self.model
        pi, mu = params[c * k :][:k], params[(3 + c) * k :][:k]
        scale = params[(6 + c) * k :][:k]
        beta = [clamp(b, -96, 96) for b in params[9 * k :]]
        residual = [value - m for value, m in zip(known, med, strict=False)]
        parts = []
        for j in range(k):
            mean = 64 * med[c] + ((mu[j] * max(activity[c] + 3, 6)) >> 2)
            if c == 1:
                mean += beta[j] * residual[0]
            if c == 2:
                mean += beta[k + j] * residual[0] + beta[2 * k + j] * residual[1]
            i = clamp((scale[j] >> 2) + model.table("log_activity")[activity[c]] + 48, 0, 175)
            weight = model.table("exp")[min(max(pi) - pi[j], 511)]
            parts.append((weight, mean, i))
        return parts

    def cumulative(self, parts, v):
        if v == 0:
            return 0
        if v == 256:
            return 8192 * sum(weight for weight, _, _ in parts)
        reach, inverse = self.model.table("reach"), self.model.table("inverse_scale")
        logistic = self.model.table("logistic")
        total = 0
        for weight, mean, i in parts:
            d = clamp(64 * v - 32 - mean, -reach[i], reach[i])
            u = clamp((d * inverse[i]) >> 10, -32768, 32767) + 32768
            n = u >> 7
            total += weight * (logistic[n] + (((logistic[n + 1] - logistic[n]) * (u & 127)) >> 7))
        return total >> 2

    def high(self, parts, bins):
        edges = [self.cumulative(parts, bins.bound(j)) for j in range(0, 257, 16)]
        return [b - a + 64 for a, b in pairwise(edges)]

    def low(self, parts, bins, high):
        edges = [self.cumulative(parts, bins.bound(j)) for j in range(16 * high, 16 * high + 17)]
        return [b - a + 4 for a, b in pairwise(edges)]


def decode(blob, model_file):
    """Height, width, channels and samples of a `.seec` file."""
    model = ModelFile(model_file)
    magic, version, flags, channels, b, width, height, t, g, model_id, digest, count = (
        struct.unpack_from("<4sBBBBIIHH8s16sH", blob)
    )
    assert (magic, version) == (b"\x8aSEC", 1)
    assert flags in (0, 1)
    assert model_id == model.short_id
    table = 46 + 10 * count
    assert struct.unpack_from("<I", blob, table)[0] == crc32c(blob[:table])
    position, sections = table + 4, []
    for index in range(count):
        kind, coding, size, crc = struct.unpack_from("<BBII", blob, 46 + 10 * index)
        payload = blob[position : position + size]
        assert crc32c(payload) == crc
        sections.append((kind, coding, payload))
        position += size
    assert position == len(blob)

    rows, columns = -(-height >> b), -(-width >> b)
    labels = [[0] * columns for _ in range(rows)]
    if sections[0][0] == 2:
        labels = decode_labels(sections.pop(0)[2], rows, columns, model.profile["experts"])
    widths = [[1] * columns for _ in range(rows)]
    if flags:
        assert sections[0][0] == 6
        error, *coded = sections.pop(0)[2]
        background = decode_labels(bytes(coded), rows, columns, 2)
        wide = 2 * error + 1 if error else 0
        widths = [[wide if block else 1 for block in row] for row in background]
    places = [(y, x) for y in range(0, height, t) for x in range(0, width, t)]
    image = {}
    for index, (kind, coding, payload) in enumerate(sections):
        assert kind == 5
        group = places[index * g : (index + 1) * g]
        for (top, left), tile in _tiles(
            group, height, width, t, b, channels, coding, payload, (labels, widths), model
        ):
            image.update({(top + y, left + x): v for (y, x), v in tile.items()})
    samples = bytes(
        value for y in range(height) for x in range(width) for value in image[y, x][:channels]
    )
    found = hashlib.sha256(struct.pack("<III", height, width, channels) + samples).digest()
    assert found[:16] == digest
    return height, width, channels, samples


def _tiles(places, height, width, t, b, channels, coding, payload, maps, model):
    """Place and pixels of each tile of a group."""
    sizes = [(min(t, height - y), min(t, width - x)) for y, x in places]
    if coding == 1:
        values = iter(payload)
        for place, (h, w) in zip(places, sizes, strict=True):
            yield (
                place,
                {
                    (y, x): tuple(next(values) for _ in range(channels))
                    for y in range(h)
                    for x in range(w)
                },
            )
        return
    tiles = []
    for n, ((top, left), (h, w)) in enumerate(zip(places, sizes, strict=True)):
        border = tuple(payload[n * channels : (n + 1) * channels]) * (3 // channels)

        def at(blocks, top=top, left=left):
            return lambda y, x: blocks[(top + y) >> b][(left + x) >> b]

        tiles.append(Tile(h, w, border, at(maps[0]), at(maps[1])))
    GroupDecoder(model, channels, RangeDecoder(payload[channels * len(places) :])).run(tiles)
    yield from zip(places, [tile.pixels for tile in tiles], strict=True)
