"""A `.seec` decoder written from FORMAT.md alone, in plain Python: slow, and independent.

It shares no code with the project, so it fails where the specification and the code part.
"""

import hashlib
import json
import struct
from itertools import pairwise

from tests.vectors import plain_predictors, plain_screen


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
        return self.between([0, *inner, 1 << 24])

    def split(self, edge):
        """A bit, which is 0 below the edge."""
        return self.between([0, edge, 1 << 24])

    def between(self, edges):
        """The symbol whose edges the quantile lies between."""
        scale = self.range >> 24
        quantile = self.ahead // scale
        assert quantile < 1 << 24
        symbol = max(s for s, edge in enumerate(edges[:-1]) if edge <= quantile)
        self.ahead -= scale * edges[symbol]
        self.range = scale * (edges[symbol + 1] - edges[symbol])
        if self.range < 1 << 32:
            self.range <<= 32
            self.ahead = self.ahead << 32 | self.word()
        return symbol

    def check_end(self):
        assert not self.words or len(self.words) <= self.position <= len(self.words) + 1


def decode_labels(payload, rows, columns, entropy_models):
    coder, counts, labels = RangeDecoder(payload), {}, []
    for y in range(rows):
        labels.append([])
        for x in range(columns):
            west = labels[y][x - 1] if x else entropy_models
            north = labels[y - 1][x] if y else entropy_models
            own = counts.setdefault((west, north), [1] * entropy_models)
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

    def __init__(self, height, width, border, labels, widths, side):
        self.height, self.width, self.border = height, width, border
        self.labels, self.widths, self.side = labels, widths, side
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


def zeros(channels, rows, columns):
    return [[[0] * columns for _ in range(rows)] for _ in range(channels)]


def size(x):
    return len(x), len(x[0]), len(x[0][0])


def each(function, *images):
    """Apply a function value by value."""
    channels, rows, columns = size(images[0])
    out = zeros(channels, rows, columns)
    for c in range(channels):
        for i in range(rows):
            for j in range(columns):
                out[c][i][j] = function(*(image[c][i][j] for image in images))
    return out


def leak_image(x):
    return each(lambda v: max(v, v >> 3), x)


def added(a, b):
    return each(lambda v, w: clamp(v + w, -2047, 2047), a, b)


def up(x):
    channels, rows, columns = size(x)
    out = zeros(channels // 4, 2 * rows, 2 * columns)
    for c in range(channels):
        for i in range(rows):
            for j in range(columns):
                out[c // 4][2 * i + c % 4 // 2][2 * j + c % 2] = x[c][i][j]
    return out


class Side:
    """Part 3, latents and features."""

    def __init__(self, model):
        self.model, self.p = model, model.profile

    def layer(self, name, x, k=1):
        channels, rows, columns = size(x)
        around = range(-(k // 2), k // 2 + 1)
        out = []
        for i in range(rows):
            for j in range(columns):
                inputs = [
                    x[c][i + dy][j + dx] if 0 <= i + dy < rows and 0 <= j + dx < columns else 0
                    for c in range(channels)
                    for dy in around
                    for dx in around
                ]
                values = self.model.layer(name, 0, inputs)
                out = out or zeros(len(values), rows, columns)
                for c, value in enumerate(values):
                    out[c][i][j] = value
        return out

    def latents(self, z_words, y_words, sizes):
        z_coder, y_coder = RangeDecoder(z_words), RangeDecoder(y_words)
        table, count = self.model.table("z"), self.p["latents"]
        found = []
        for h, w in sizes:
            y = zeros(count, -(-h // 16), -(-w // 16))
            z = zeros(count, -(-len(y[0]) // 4), -(-len(y[0][0]) // 4))
            for c in range(count):
                for row in z[c]:
                    row[:] = [
                        min(z_coder.symbol(table[64 * c : 64 * c + 64]), 62) - 31 for _ in row
                    ]
            places = [
                (c, i, j)
                for c in range(count)
                for i in range(len(y[0]))
                for j in range(len(y[0][0]))
            ]
            given = self.hyper_synthesis(z)
            parts = [
                [
                    (
                        255,
                        8192 + 4 * given[c][i][j],
                        clamp((given[count + c][i][j] >> 3) + 64, 0, 175),
                    )
                ]
                for c, i, j in places
            ]
            coder = GroupDecoder(self.model, 1, None, "normal")
            exact = Bins(1, 0)
            high = [y_coder.symbol(coder.high(p, exact)) for p in parts]
            low = [y_coder.symbol(coder.low(p, exact, n)) for p, n in zip(parts, high, strict=True)]
            for (c, i, j), a, b in zip(places, high, low, strict=True):
                y[c][i][j] = 16 * a + b - 128
            found.append(y)
        z_coder.check_end()
        y_coder.check_end()
        return found

    def hyper_synthesis(self, z):
        x = leak_image(self.layer("h_s.0", each(lambda v: 16 * v, z)))
        x = leak_image(up(self.layer("h_s.1", x)))
        x = leak_image(up(self.layer("h_s.2", x)))
        return self.layer("h_s.3", x)

    def features(self, y):
        x = self.layer("g_s.0", each(lambda v: 16 * clamp(v, -127, 127), y))
        x = self.attention("g_s.1", x, 4)
        x = self.block("g_s.3", self.block("g_s.2", x))
        x = self.attention("g_s.4", x, 8)
        return up(self.layer("g_s.6", self.block("g_s.5", x), 3))

    def block(self, name, x):
        a = up(self.layer(f"{name}.up", x, 3))
        gate = self.layer(f"{name}.gdn", each(abs, a))
        a = each(lambda v, g: clamp((v * g + 64) >> 7, -2047, 2047), a, gate)
        a = leak_image(self.layer(f"{name}.out", a, 3))
        return added(a, up(self.layer(f"{name}.skip", x)))

    def attention(self, name, x, w):
        for part, shift in enumerate((0, w // 2) if self.p.get("heads") else ()):
            at = f"{name}.{part}"
            seen = self.look_around(f"{at}.position", self.layer(f"{at}.qkv", x), w, shift)
            x = added(x, self.layer(f"{at}.project", seen))
            x = added(x, self.layer(f"{at}.narrow", leak_image(self.layer(f"{at}.widen", x))))
        return x

    def look_around(self, table, t, w, shift):
        channels, rows, columns = size(t)
        width, heads = channels // 3, self.p["heads"]
        per_head = width // heads
        out = zeros(width, rows, columns)
        for top in range(-shift, rows, w):
            for left in range(-shift, columns, w):
                tokens = [
                    (i, j)
                    for i in range(max(top, 0), min(top + w, rows))
                    for j in range(max(left, 0), min(left + w, columns))
                ]
                for head in range(heads):
                    own = range(head * per_head, (head + 1) * per_head)
                    for here in tokens:
                        share = self.shares(table, t, width, w, head, own, here, tokens)
                        for c in own:
                            total = sum(
                                n * t[2 * width + c][i][j]
                                for n, (i, j) in zip(share, tokens, strict=True)
                            )
                            value = clamp((total + 128) >> 8, -2047, 2047)
                            out[c][here[0]][here[1]] = value
        return out

    def shares(self, table, t, width, w, head, own, here, tokens):
        positions, exp = self.model.table(table), self.model.table("exp")
        scores = []
        for i, j in tokens:
            dot = sum(
                clamp(t[c][here[0]][here[1]] >> 3, -255, 255)
                * clamp(t[width + c][i][j] >> 3, -255, 255)
                for c in own
            )
            n = (here[0] - i + w - 1) * (2 * w - 1) + here[1] - j + w - 1
            scores.append((dot >> 4) + positions[head * (2 * w - 1) ** 2 + n])
        weights = [exp[min(max(scores) - score, 511)] for score in scores]
        total = sum(weights)
        return [(256 * u + (total >> 1)) // total for u in weights]


class GroupDecoder:
    """Part 3, a range coded tile group."""

    def __init__(self, model, channels, coder, distribution="logistic"):
        self.model, self.channels, self.coder = model, channels, coder
        self.distribution = distribution
        self.k = model.profile["mixtures"]
        self.network = None

    def run(self, tiles):
        if self.model.profile.get("predictors"):
            self.network = plain_predictors.Network(self.model, TAPS, tiles)
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
            if self.network:
                self.network.learn(t, pixels, [state[2] for state in states])
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
        if self.network:
            seen = self.network.look(tile, y, x, med, activity, differences)
            return med, activity, seen
        r = model.table("reciprocal")[sum(activity)]
        for c in range(3):
            inputs += [clamp((d * r + 2048) >> 12, -127, 127) for d in differences[c]]
        inputs += [model.table("log_activity")[a] - 32 for a in activity]
        inputs += [(m - 128) >> 1 for m in med]
        label = tile.labels(y, x)
        joined = leak(model.layer("context", 0, inputs)) + tile.side(y, x)
        features = leak(model.layer("fusion", 0, joined))
        params = model.layer("output", label, leak(model.layer("hidden", label, features)))
        return med, activity, params

    def mixture(self, state, known, c):
        (med, activity, params), k, model = state, self.k, self.model
        if self.network:
            return self.network.mixture(params, known, c)
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
        logistic = self.model.table(self.distribution)
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


class ColourSet:
    """Part 1, a colour set and the sheet that goes with it."""

    def __init__(self, payload, height, width, channels, t, b):
        self.height, self.width, self.channels = height, width, channels
        kind, body = payload[0], payload[1:]
        assert kind in (0, 1)
        self.planes = kind == 1
        self.halved, self.reach = (0, 0), 0
        if not self.planes:
            masks = [body[32 * c : 32 * c + 32] for c in range(channels)]
            self.levels = [
                [v for v in range(256) if mask[v >> 3] >> (7 - (v & 7)) & 1] for mask in masks
            ]
            self.rows, self.columns = height, width
            return
        self.chroma = body[0]
        self.family = struct.unpack("<5iI4B", body[1:])
        self.halved = (int(self.chroma in (2, 4) or self.chroma >= 7), int(self.chroma > 0))
        self.reach = int(self.chroma in (1, 2) or self.chroma >= 5)
        ends = []
        for size, axis in ((height, 0), (width, 1)):
            last = (size - 1) // t * t
            ends.append(max(size, last + self.samples(last, size - last, axis)[1]))
        self.slot = -(-ends[0] >> b) << b
        self.rows, self.columns = 3 * self.slot, ends[1]

    def samples(self, start, count, axis: int):
        """The first sample of chroma that some pixels need, and how many."""
        half, size = self.halved[axis], (self.height, self.width)[axis]
        reach = self.reach * half
        first = max((start >> half) - reach, 0)
        return first, min(-(-(start + count) >> half) + reach, -(-size >> half)) - first

    def parts(self, top, left, h, w):
        """Row, column, height and width on the sheet of a tile's parts."""
        if not self.planes:
            return [(top, left, h, w)]
        ch, cw = self.samples(top, h, 0)[1], self.samples(left, w, 1)[1]
        return [(top, left, h, w)] + [(top + p * self.slot, left, ch, cw) for p in (1, 2)]

    def pixel(self, top, left, y, x, parts):
        """A pixel of a tile, from its decoded parts."""
        if not self.planes:
            numbers = parts[0].at(y, x)
            tables = zip(self.levels, numbers, strict=False)
            return tuple(table[min(n, len(table) - 1)] for table, n in tables)
        luma = parts[0].at(y, x)[0]
        blue, red = (self.enlarged(part, top, left, y, x) for part in parts[1:])
        ky, kr, kb, kgb, kgr, rounding, y0, b0, r0, whole = self.family
        base, in_red, in_blue = ky * (luma - y0) + rounding, kr * (red - r0), kb * (blue - b0)
        cb, cr = (in_blue >> 18, in_red >> 18) if whole else (blue - b0, red - r0)
        sums = (base + in_red, base + kgb * cb + kgr * cr, base + in_blue)
        return tuple(clamp(v >> 18, 0, 255) for v in sums)

    def enlarged(self, part, top, left, y, x):
        """The chroma of a pixel."""
        y += top - (self.samples(top, 1, 0)[0] << self.halved[0])
        x += left - (self.samples(left, 1, 1)[0] << self.halved[1])
        i, j = y >> self.halved[0], x >> self.halved[1]

        def sample(i, j):
            return part.pixels[clamp(i, 0, part.height - 1), clamp(j, 0, part.width - 1)][0]

        def row(i):
            return 3 * sample(i, j) + sample(i, j + (1 if x & 1 else -1))

        if self.chroma == 1:
            return (row(i) + (2 if x & 1 else 1)) >> 2
        if self.chroma == 2:
            return (3 * row(i) + row(i + (1 if y & 1 else -1)) + (7 if x & 1 else 8)) >> 4
        if self.chroma >= 5:
            odd = ((0, 0), (0, 1), (0, 0), (0, 1), (1, 0), (1, 1))[self.chroma - 5]
            places = [self.beside(*place) for place in ((y, i, 0, odd), (x, j, 1, odd))]
            around = [sample(k, m) for k in places[0] for m in places[1]]
            return (sum(around) + 2) >> 2
        return sample(i, j)

    def beside(self, at, place, axis, odd):
        """The two samples along an axis whose mean a pixel has."""
        if not self.halved[axis] or at & 1 == odd[axis]:
            return place, place
        return place, place + (-1 if odd[axis] else 1)


def take_exceptions(payload, channels):
    """Differences by pixel of a group, and what follows them."""
    count, size = struct.unpack_from("<II", payload)
    position = 8
    tables = []
    for _ in range(1 + channels if count else 0):
        n = payload[position] + 1
        position += 1
        tables.append((payload[position : position + n], payload[position + n : position + 2 * n]))
        position += 2 * n
    coder = RangeDecoder(payload[position : position + size])
    position += size
    streams = [
        [values[coder.symbol(freq) if len(values) > 1 else 0] for _ in range(count)]
        for values, freq in tables
    ]
    coder.check_end()
    found, at, bit = {}, -1, 0
    for sizes, *difference in zip(*streams, strict=True):
        gap = 1 if sizes else 0
        for _ in range(sizes - 1):
            gap = 2 * gap + (payload[position + bit // 8] >> (7 - bit % 8) & 1)
            bit += 1
        at += gap + 1
        found[at] = difference
    return found, payload[position + -(-bit // 8) :]


def decode(blob, model_file):
    """Height, width, channels and samples of a `.seec` file."""
    model = ModelFile(model_file)
    magic, version, flags, channels, b, width, height, t, g, model_id, digest, count = (
        struct.unpack_from("<4sBBBBIIHH8s16sH", blob)
    )
    assert (magic, version) == (b"\x8aSEC", 1)
    assert flags in (0, 1, 2, 3)
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

    colours, sheet = None, (height, width)
    if sections[0][0] == 1:
        colours = ColourSet(sections.pop(0)[2], height, width, channels, t, b)
        sheet = colours.rows, colours.columns
    rows, columns = (-(-n >> b) for n in sheet)
    labels = [[0] * columns for _ in range(rows)]
    if sections[0][0] == 2:
        labels = decode_labels(sections.pop(0)[2], rows, columns, model.profile["entropy_models"])
    widths = [[1] * columns for _ in range(rows)]
    if flags & 1:
        assert sections[0][0] == 6
        error, *coded = sections.pop(0)[2]
        background = decode_labels(bytes(coded), rows, columns, 2)
        wide = 2 * error + 1 if error else 0
        widths = [[wide if block else 1 for block in row] for row in background]
    places = [(y, x) for y in range(0, height, t) for x in range(0, width, t)]
    side = {}
    if sections[0][0] == 3:
        (_, _, z_words), (_, _, y_words), *sections = sections
        sic = Side(model)
        sizes = [(min(t, height - y), min(t, width - x)) for y, x in places]
        latents = sic.latents(z_words, y_words, sizes)
        side = {place: sic.features(y) for place, y in zip(places, latents, strict=True)}
    image = {}
    for index, (kind, coding, payload) in enumerate(sections):
        assert kind == 5
        group = places[index * g : (index + 1) * g]
        for (top, left), tile in _tiles(
            group,
            height,
            width,
            t,
            b,
            channels,
            coding,
            payload,
            (labels, widths, side),
            model,
            colours,
        ):
            image.update({(top + y, left + x): v for (y, x), v in tile.items()})
    if flags & 2:
        image = {(x, height - 1 - y): value for (y, x), value in image.items()}
        height, width = width, height
    samples = bytes(
        value for y in range(height) for x in range(width) for value in image[y, x][:channels]
    )
    found = hashlib.sha256(struct.pack("<III", height, width, channels) + samples).digest()
    assert found[:16] == digest
    return height, width, channels, samples


def _tiles(places, height, width, t, b, channels, coding, payload, maps, model, colours):
    """Place and pixels of each tile of a group."""
    sizes = [(min(t, height - y), min(t, width - x)) for y, x in places]
    if coding == 2:
        coding, payload = 1, plain_screen.decode(RangeDecoder(payload), sizes, channels)
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
    exceptions, image_channels, parts = {}, channels, 1
    coded = [(*place, *size) for place, size in zip(places, sizes, strict=True)]
    if colours:
        exceptions, payload = take_exceptions(payload, channels)
        coded = [part for place in coded for part in colours.parts(*place)]
        parts, channels = len(coded) // len(places), 1 if colours.planes else channels
    tiles = []
    for n, (top, left, h, w) in enumerate(coded):
        border = tuple(payload[n * channels : (n + 1) * channels]) * (3 // channels)

        def at(blocks, top=top, left=left):
            return lambda y, x: blocks[(top + y) >> b][(left + x) >> b]

        features = maps[2].get((top, left), [])

        def beside(y, x, features=features):
            return [channel[y][x] for channel in features]

        tiles.append(Tile(h, w, border, at(maps[0]), at(maps[1]), beside))
    GroupDecoder(model, channels, RangeDecoder(payload[channels * len(coded) :])).run(tiles)
    if not colours:
        yield from zip(places, [tile.pixels for tile in tiles], strict=True)
        return
    yield from _painted(places, sizes, tiles, parts, colours, exceptions, image_channels)


def _painted(places, sizes, tiles, parts, colours, exceptions, channels):
    """Place and pixels of each tile of a group, of its decoded parts."""
    number = 0
    for n, ((top, left), (h, w)) in enumerate(zip(places, sizes, strict=True)):
        pixels, own = {}, tiles[parts * n : parts * n + parts]
        for y in range(h):
            for x in range(w):
                made = colours.pixel(top, left, y, x, own)
                off = exceptions.get(number, [0] * channels)
                pixels[y, x] = tuple((v + d) & 255 for v, d in zip(made, off, strict=True))
                number += 1
        yield (top, left), pixels
