"""A decoder of samples of any depth written from FORMAT-SAMPLES.md alone, in plain Python.

Slow, and independent: it shares no code with the project.
"""

import math
import struct
from collections import defaultdict
from itertools import accumulate

import zstandard

from tests.vectors.plain_dct import CONFIDENCE, SQUASH, STRETCH, Decoder
from tests.vectors.plain_decoder import crc32c

LANES = 16
RATE = [131072 // (2 * n + 3) for n in range(401)]


def clamp(v, low, high):
    return min(max(v, low), high)


def squash(x):
    return SQUASH[clamp(x, -2047, 2047) + 2048]


SOFT = list(accumulate((squash(2 * (i - 1536) + 1) for i in range(3071)), initial=0))


def _remains():
    e, found = 1 << 31, []
    for _ in range(32769):
        found.append(STRETCH[min(e >> 15, 65535) >> 4])
        e -= e >> 12
    return found


REMAINS = _remains()


def soft(t):
    return 32 * t if t >= 1536 else SOFT[max(t, -1536) + 1536] >> 11


def remains(v):
    v = clamp(v, 0, 32768)
    return REMAINS[v if v < 512 else v & ~15]


def hashed(a, b):
    h = (a * 0x9E3779B1 ^ (b + 0x7F4A7C15) * 0x85EBCA6B) & 0xFFFFFFFF
    return ((h ^ h >> 15) * 0x2C1B3C6D) & 0xFFFFFFFF


def class_of(v):
    n = (v + 4).bit_length() - 3
    return min(4 * n + ((v + 4) >> n & 3), 159)


def seven(v, unit):
    s = abs(v) >> unit
    level = (s > 0) + (s > 2) + (s > 6)
    return 3 - level if v < 0 else 3 + level


def five(v, unit):
    s = abs(v) >> unit
    level = (s > 0) + (s > 3)
    return 2 - level if v < 0 else 2 + level


def least(j):
    return j if j < 4 else (2 + (j & 1)) << (j // 2 - 1)


def median(w, n, nw):
    return clamp(w + n - nw, min(w, n), max(w, n))


class Plane:
    """Numbers, errors and outcomes of a band, and what stands around them."""

    def __init__(self, height, width):
        self.height, self.width = height, width
        self.number, self.error, self.outcome = {}, {}, {}

    def put(self, y, x, number, error, outcome):
        self.number[y, x], self.error[y, x], self.outcome[y, x] = number, error, outcome
        if y == 0:
            for row in (-1, -2, -3):
                self.number.update(((row, x + i), number) for i in range(1, 5))

    def v(self, y, x):
        if y == self.height:
            y -= 1
        if y > 0 and x < 0:
            return self.number.get((y - 1, 0), 0)
        if y >= 0 and x >= self.width:
            x = self.width - 1
        return self.number.get((y, x), 0)

    def e(self, y, x):
        if y > 0 and x < 0 and y < self.height:
            return self.error.get((y - 1, 0), 0)
        return self.error.get((y, x), 0)


class Mean:
    def __init__(self, mean=0, count=0):
        self.mean, self.count = mean, count

    def learn(self, v, limit):
        self.mean += (((65536 * v - self.mean) >> 8) * RATE[self.count]) >> 8
        self.count = min(self.count + 1, limit)


class Distribution:
    def __init__(self, centre, size):
        self.centre, self.size = centre, size
        self.fine = max(size.mean, 0) >> 12
        self.d = max(self.fine.bit_length() - 20, 0)
        self.inverse = 185597952 // ((self.fine >> self.d) + 8)

    def along(self, v):
        return ((v >> self.d) * self.inverse) >> 16


class Mixer:
    """Slots of contexts and sets of weights."""

    def __init__(self, decoder, of_slots, of_logits):
        self.decoder = decoder
        self.slots = defaultdict(lambda: [1 << 21, 0])
        first = [of_slots] * 8 + [of_logits] * 4 + [0] * 4
        self.weights = defaultdict(lambda: list(first))

    def bit(self, contexts, node, logits, a, b, c):
        slots = [self.slots[i, context, node] for i, context in enumerate(contexts)]
        x = [(STRETCH[chance >> 10] * CONFIDENCE[min(n, 250)]) >> 8 for chance, n in slots]
        x += [*logits, 0, 0, 0, 256]
        sets = [self.weights["a", a], self.weights["b", b], self.weights["c", c]]
        each = [
            clamp(sum(p * q for p, q in zip(x, w, strict=True)) >> 14, -2047, 2047) for w in sets
        ]
        bit = self.decoder.bit(squash((sum(each) * 21846) >> 16))
        for w, o in zip(sets, each, strict=True):
            e = (65536 * bit - squash(o)) >> 4
            for i in range(LANES):
                w[i] = clamp(w[i] + ((x[i] * e + 16384) >> 15), -32768, 32767)
        for slot in slots:
            slot[0] += (((1 << 22) - 1) * bit - slot[0]) * RATE[slot[1]] >> 16
            slot[1] = min(slot[1] + 1, 400)
        return bit


class Band:
    """Decodes the numbers of a band, plane after plane."""

    def __init__(self, decoder, top, width, references, way):
        self.decoder, self.top, self.repeats = decoder, top, way & 1
        self.holes = {0, top} if way & 8 and not references else set()
        self.taps = 10 + 5 * references
        strips = -(-width // 16)
        self.weights = [[2560, -1536, 1024, *[0] * (self.taps - 3)] for _ in range(strips)]
        self.sums = [self._no_sums() for _ in range(strips + 2)]  # [strip + 1]
        self.biases = defaultdict(Mean)
        self.sizes = [
            [Mean((((4 + (c & 3)) << min(c // 4, 40)) + 8) * 65536, 2) for c in range(160)]
            for _ in range(4)
        ]
        self.numbers = Mixer(decoder, 2500, 3500)
        self.repeated = Mixer(decoder, 4000, 0)

    def _no_sums(self):
        return [[0] * (self.taps + 1) for _ in range(self.taps + 1)]

    def decode(self, plane, references):
        for y in range(plane.height):
            seen = []
            for x in range(plane.width):
                if x % 16 == 0:
                    self.solve(x // 16)
                    seen = []
                seen.append(self.sample(plane, references, y, x))
                if x % 16 == 15 or x == plane.width - 1:
                    self.add(x // 16, seen)

    def solve(self, strip):
        near = self.sums[strip : strip + 3]
        count, weights = self.taps, self.weights[strip]
        total = [[sum(s[i][j] for s in near) for j in range(count + 1)] for i in range(count + 1)]
        left = [
            4096 * total[count][j] - sum(total[i][j] * weights[i] for i in range(count))
            for j in range(count)
        ]
        for i in [*range(count)] * 3:
            step = int(clamp(left[i] / (total[i][i] + 4096), -65536.0, 65536.0))
            new = clamp(weights[i] + step, -32767, 32767)
            moved, weights[i] = new - weights[i], new
            for j in range(count):
                left[j] -= total[i][j] * moved

    def add(self, strip, seen):
        sums = self.sums[strip + 1]
        for i, row in enumerate(sums):
            for j, s in enumerate(row):
                row[j] = s - (s >> 4) + sum(one[i] * one[j] for one in seen)

    def sample(self, plane, references, y, x):
        def v(dy, dx):
            return plane.v(y + dy, x + dx)

        def e(dy, dx):
            return plane.e(y + dy, x + dx)

        w, n, nw, ne, ww, nn = v(0, -1), v(-1, 0), v(-1, -1), v(-1, 1), v(0, -2), v(-2, 0)
        d = [n, nw, ne, ww, nn, v(-1, 2), v(-1, -2), v(-2, 1), v(-2, -1), v(0, -3)]
        base = next((one for one in (w, n, ne, nw) if one not in self.holes), w)
        d = [base if one in self.holes else one for one in d]
        near = [base if w in self.holes else w, *d[:5]]
        d = [one - base for one in d]
        for other in references:
            at = other.v(y, x - 1)
            places = ((0, 0), (-1, 0), (0, 1), (1, 0), (-1, -1))
            d += [other.v(y + dy, x + dx) - at for dy, dx in places]
        pairs = ((0, 2), (1, 2), (1, 3), (0, 4), (1, 5))
        gradient = sum(abs(near[i] - near[j]) for i, j in pairs)
        energy = 2 * abs(e(0, -1)) + 2 * abs(e(-1, 0)) + abs(e(-1, -1)) + abs(e(-1, 1))
        energy += abs(e(0, -2)) + abs(e(-2, 0))
        beside, farther, shift = e(-1, 1), e(0, -2), 0
        if references:
            r = references[0]
            around = [r.e(y, x - 1), r.e(y, x + 1), r.e(y - 1, x), r.e(y + 1, x)]
            wide = energy // 2 + 2 * abs(r.e(y, x)) + sum(map(abs, around))
            beside, farther, shift = r.e(y, x), around[1] + around[3], 1
            rn, rw, rnw = r.v(y - 1, x), r.v(y, x - 1), r.v(y - 1, x - 1)
            second = r.v(y, x) + median(w - rw, n - rn, nw - rnw)
        else:
            places = ((0, -3), (-1, -2), (-1, 2), (-2, 1), (-2, -1), (-3, 0))
            wide = energy + sum(abs(e(*place)) for place in places)
            second = median(near[0], near[1], near[2])
        of_energy, of_gradient, of_wide = class_of(energy), class_of(gradient), class_of(wide)

        m = 0
        for one in d:
            m |= abs(one)
        b = max(m.bit_length() - 20, 0)
        weights = self.weights[x // 16]
        total = sum(one * (value >> b) for one, value in zip(weights, d, strict=True))
        prediction = clamp(16 * base + ((total << b) >> 8), 0, 16 * self.top)
        p = (prediction + 8) >> 4
        signs = (n, w, nw, ne, nn, ww, 2 * n - nn, 2 * w - ww)
        pattern = sum((one > p) << i for i, one in enumerate(signs))
        bias = self.biases[pattern, min(of_energy // 4, 15)]
        centre16 = clamp(prediction + (bias.mean >> 16), 0, 16 * self.top)
        centre = (centre16 + 8) >> 4
        distributions = [
            Distribution(middle, sizes[c])
            for middle, sizes, c in zip(
                (centre16, centre16, centre16, 16 * second),
                self.sizes,
                (of_energy, of_gradient, of_wide, of_energy),
                strict=True,
            )
        ]
        lengths = sum(one.fine.bit_length() for one in distributions[:3])
        unit = max((1 + lengths) // 3 - 9, 0)

        contexts = [
            of_energy,
            min(of_wide // 2, 63) + 64 * min(of_gradient // 4, 15),
            seven(e(0, -1), unit)
            + 7 * seven(e(-1, 0), unit)
            + 49 * seven(e(-1, -1) + e(-1, 1), unit + 1),
            pattern,
            seven(second - centre, unit)
            + 7 * seven(beside, unit)
            + 49 * seven(farther, unit + shift),
            hashed(centre >> unit, unit + 1) >> 20,
            hashed(w >> unit, n >> unit) >> 18,
            sum(f * five(one - centre, unit) for f, one in ((1, w), (5, n), (25, nw), (125, ne))),
        ]
        outcome, number = 0, 0
        if self.repeats:
            low = distributions[0].along(centre16 - 8)
            high = distributions[0].along(16 * self.top - 8 - centre16)
            ends = 16 + clamp(low >> 5, -15, 15) + 32 * (16 + clamp(high >> 5, -15, 15))
            kinds = [w, n, ne, nw, 0, self.top]
            outcome = self.repeat(plane, references, y, x, kinds, of_energy, ends)
            number = kinds[outcome - 1]
        if not outcome:
            number = self.number(contexts, distributions, centre, unit, min(of_wide // 2, 79))

        if number in self.holes:
            plane.put(y, x, number, 0, outcome)
            return [0] * (self.taps + 1)
        bias.learn(clamp(16 * number - centre16, -(1 << 30), 1 << 30), 60)
        for one in distributions:
            size = abs(16 * number - one.centre)
            one.size.learn(min(size, (one.size.mean >> 13) + 64), 250)
        error = clamp(number - centre, -(1 << 30), 1 << 30)
        plane.put(y, x, number, error, outcome)
        a = (energy // 8 + gradient // 5).bit_length() - 8
        return [clamp(one >> a if a > 0 else one << -a, -2047, 2047) for one in (*d, number - base)]

    def number(self, contexts, distributions, centre, unit, wide):
        third, edge = contexts[4], 16 * centre - 8
        logits = [clamp(2 * one.along(edge - one.centre), -2047, 2047) for one in distributions]
        below = self.numbers.bit(contexts, 0, logits, 0, wide, third)
        room = centre - 1 if below else self.top - centre
        starts = [one.centre - edge if below else edge - one.centre for one in distributions]

        def gone(limit):
            return [
                soft(one.along(16 * limit + start))
                for one, start in zip(distributions, starts, strict=True)
            ]

        j = 0
        while j < 64 and least(j + 1) << unit <= room:
            after, before = gone(least(j + 1) << unit), gone(least(j) << unit)
            logits = [remains(q - p) for p, q in zip(before, after, strict=True)]
            node = 1 + min(j, 19)
            if not self.numbers.bit(contexts, node, logits, node, 80 + wide, 343 + third):
                break
            j += 1
        bits, rest = unit + (0 if j < 4 else j // 2 - 1), 0
        for i in range(bits):
            if i == 0:
                node = 21 + min(j, 10)
                bit = self.numbers.bit(contexts, node, [0] * 4, node, 160 + wide, 686 + third)
            else:
                bit = self.decoder.bit(32768)
            rest = 2 * rest + bit
        size = (least(j) << unit) + rest
        return clamp(centre - 1 - size if below else centre + size, 0, self.top)

    def repeat(self, plane, references, y, x, kinds, of_energy, ends):
        w, n, ne, nw, _, _ = kinds
        ww, nn, nee = plane.v(y, x - 2), plane.v(y - 2, x), plane.v(y - 1, x + 2)

        def bits(*equal):
            return sum((p == q) << i for i, (p, q) in enumerate(equal))

        equal = bits((w, n), (w, nw), (n, ne), (n, nw), (w, ww), (n, nn), (ne, nee), (w, ne))
        places = ((y, x - 1), (y - 1, x), (y - 1, x + 1), (y - 1, x - 1))
        past = sum(plane.outcome.get(at, 0) << 3 * i for i, at in enumerate(places))
        two = hashed(w, n)
        four = hashed(hashed(two, nw), ne)
        other = hashed(two, ww) >> 20
        if references:
            r = references[0]
            at, rw, rn = r.v(y, x), r.v(y, x - 1), r.v(y - 1, x)
            rne, rnw = r.v(y - 1, x + 1), r.v(y - 1, x - 1)
            other = bits(
                (at, rw), (at, rn), (at, rne), (at, rnw), (w, n), (n, ne), (n, nw), (w, nw)
            )
            other += 256 * r.outcome.get((y, x), 0)
        contexts = [
            *(equal, past, two >> 18, four >> 16, of_energy, ends),
            *(hashed(hashed(four, ww), nn) >> 16, other),
        ]

        def decide(node):
            return self.repeated.bit(contexts, node, [0] * 4, node, past % 64, equal)

        if not decide(0):
            return 0
        for kind, value in enumerate(kinds):
            if value in kinds[:kind]:
                continue
            if set(kinds) <= {*kinds[:kind], value} or decide(1 + kind):
                return 1 + kind
        raise AssertionError


def run(bits):
    """How many of these are like the first, at most 15."""
    return next((i for i, bit in enumerate(bits[:15]) if bit != bits[0]), len(bits[:15]))


class BitBand:
    """Decodes planes of zeros and ones."""

    def __init__(self, decoder, *_):
        self.mixer = Mixer(decoder, 4000, 0)

    def decode(self, plane, references):
        for y in range(plane.height):
            for x in range(plane.width):
                plane.put(y, x, self.sample(plane, references, y, x), 0, 0)

    def sample(self, plane, references, y, x):
        def row(of, dy, first, last):
            """From the column `first` on to `last`, which may lie left of it."""
            step = 1 if last >= first else -1
            inside = 0 <= y + dy < plane.height
            return [
                of.number.get((y + dy, x + i), 0) if inside and x + i < plane.width else 0
                for i in range(first, last + step, step)
            ]

        def packed(*rows):
            return sum(bit << i for i, bit in enumerate(bit for one in rows for bit in one))

        def own(count):
            return row(plane, 0, -1, -count)

        def above(dy, reach):
            return row(plane, -dy, reach, -reach)

        first = packed(own(2), above(1, 2), above(2, 1))
        wide = packed(own(6), above(1, 5), above(2, 4))
        runs = [run(own(15)), run(row(plane, -1, 0, -14)), run(row(plane, -1, 0, 8))]
        sparse = [
            packed([bits[i] for i in places])
            for bits, places in (
                (own(12), (0, 2, 5, 7, 11)),
                (row(plane, -1, 8, -12), (0, 4, 8, 11, 16, 20)),
                (row(plane, -2, 8, -8), (4, 10, 16)),
                (row(plane, -3, 8, -8), (0, 8, 16)),
                (row(plane, -5, 8, -8), (0, 8, 16)),
            )
        ]
        contexts = [
            first,
            packed(own(4), above(1, 3), above(2, 2)),
            hashed(packed(own(6), above(1, 5)), 1) >> 16,
            hashed(packed(own(5), above(1, 4), above(2, 3)), 2) >> 14,
            hashed(wide, packed(above(3, 3))) >> 14,
            hashed(
                wide + (packed(own(10)) >> 6 << 26),
                packed(above(3, 4), above(4, 3), above(5, 2)),
            )
            >> 14,
            runs[0]
            + 16 * own(1)[0]
            + 32 * runs[1]
            + 512 * runs[2]
            + 8192 * row(plane, -1, 0, 0)[0],
            hashed(
                sparse[0] + (sparse[1] << 5),
                sparse[2] + (sparse[3] << 3) + (sparse[4] << 6),
            )
            >> 16,
        ]
        if references:
            rows = [row(references[0], dy, 2, -2) for dy in (-1, 0, 1)]
            contexts[2] = hashed(packed(*rows, own(3), above(1, 2)), 3) >> 16
            contexts[7] = packed(*(one[1:4] for one in rows), own(2), above(1, 1))
        a = packed(own(3), above(1, 1))
        return self.mixer.bit(contexts, 0, [0] * 4, a, runs[0] + 16 * runs[1], first)


def decode_group(data, slices, bands, height, width, top, way):
    """Numbers [slice][band], each a list of rows."""
    decoder, across = Decoder(data), way >> 1 & 1
    kind = BitBand if top == 1 and way & 1 else Band
    learnt = [kind(decoder, top, width, min(i, 2) + across, way) for i in range(bands)]
    before, found = [Plane(height, width) for _ in range(bands)], []
    for _ in range(slices):
        now = []
        for i, band in enumerate(learnt):
            references = [now[i - k] for k in (1, 2) if i >= k]
            references += [before[i]] * across
            plane = Plane(height, width)
            band.decode(plane, references)
            now.append(plane)
        found.append([[[p.number[y, x] for x in range(width)] for y in range(height)] for p in now])
        before = now
    return found


def unpacked(data, slices, bands, height, width, top):
    each = max(1, -(-top.bit_length() // 8))
    count = slices * bands * height * width
    data = zstandard.ZstdDecompressor().decompress(data)
    assert len(data) == each * count
    flat = iter([sum(data[i * count + k] << 8 * i for i in range(each)) for k in range(count)])
    return [
        [[[next(flat) for _ in range(width)] for _ in range(height)] for _ in range(bands)]
        for _ in range(slices)
    ]


class Results:
    """How numbers become samples."""

    def __init__(self, data, depth):
        fields = struct.unpack_from("<BBIIIII", data)
        self.meaning, self.shift, self.low, self.top, self.slices, self.rows, gap_bytes = fields
        self.depth, position, self.step, self.others = depth, 22, 0.0, ()
        if self.meaning > 1:
            self.step, count = struct.unpack_from("<dB", data, position)
            self.others = struct.unpack_from(f"<{count}I", data, position + 9)
            position += 9 + 4 * count
        self.pairs = []
        if gap_bytes:
            frame = zstandard.ZstdDecompressor().decompress(data[position : position + gap_bytes])
            self.pairs = list(struct.iter_unpack("<II", frame))
        self.end = position + gap_bytes

    def group(self, code, way, shape):
        """Samples [slice][band][row][column]."""
        behind = None
        if self.meaning > 3:
            (own,) = struct.unpack_from("<I", code)
            code, behind = code[4 : 4 + own], code[4 + own :]
        slices, bands, height, width = shape
        if way == 4:
            found = unpacked(code, slices, bands, height, width, self.top)
        else:
            found = decode_group(code, slices, bands, height, width, self.top, way)
        found = [[[[self.result(v) for v in c] for c in b] for b in a] for a in found]
        if behind is None:
            return [[[[self.sample(r) for r in c] for c in b] for b in a] for a in found]
        zeros = sum(self.number(r) == 0 for a in found for b in a for c in b for r in c)
        rest = Rest(behind, zeros)
        found = [[[[self.sample(r, rest) for r in c] for c in b] for b in a] for a in found]
        assert rest.is_read()
        return found

    def result(self, v):
        kept = before = 0
        for run_length, left_out in self.pairs:
            kept += run_length
            if kept > v:
                break
            before += left_out
        return ((v + before) << self.shift) + self.low

    def number(self, r):
        return 0 if r > 0xFFFFFFFF - len(self.others) else r - (1 << 31)

    def sample(self, r, rest=None):
        half = 1 << (self.depth - 1)
        if self.meaning == 0:
            return r
        if self.meaning == 1:
            return r - half if r >= half else 2 * half - 1 - r
        n = self.number(r)
        bits = rest.float_bits(n, self.step) if rest else _float_bits(self.step * n)
        if r > 0xFFFFFFFF - len(self.others):
            return self.others[0xFFFFFFFF - r]
        if self.meaning % 2 == 0:
            return bits
        return bits | half if bits < half else bits ^ 0xFFFFFFFF


def decode_run(data, width, height, samples, depth, count):
    """Of each raster rows of pixels, each a list of samples."""
    results = Results(data, depth)
    slices, rows, position = results.slices, results.rows, results.end
    places = [(first, row) for first in range(0, count, slices) for row in range(0, height, rows)]
    groups = [struct.unpack_from("<BI", data, position + 5 * i) for i in range(len(places))]
    position += 5 * len(places)
    assert crc32c(data[:position]) == struct.unpack_from("<I", data, position)[0]
    position += 4
    rasters = [[[] for _ in range(height)] for _ in range(count)]
    for (first, row), (way, size) in zip(places, groups, strict=True):
        some, lines = min(slices, count - first), min(rows, height - row)
        shape = (some, samples, lines, width)
        for s, bands in enumerate(results.group(data[position : position + size], way, shape)):
            for y in range(lines):
                rasters[first + s][row + y] = [[band[y][x] for band in bands] for x in range(width)]
        position += size
    assert position == len(data)
    return rasters


class Rest:
    """What numbers leave of floats in parts."""

    def __init__(self, data, zeros):
        (size,) = struct.unpack_from("<I", data)
        self.tiny = iter([0] * zeros)
        if size:
            frame = zstandard.ZstdDecompressor().decompress(data[4 : 4 + size])
            flags = [frame[i // 8] >> (7 - i % 8) & 1 for i in range(zeros)]
            listed = struct.iter_unpack("<I", frame[-(-zeros // 8) :])
            self.tiny = iter([next(listed)[0] if flag else 0 for flag in flags])
            assert next(listed, None) is None
        self.bits = [byte >> (7 - i) & 1 for byte in data[4 + size :] for i in range(8)]
        self.at = 0

    def float_bits(self, n, step):
        if n == 0:
            return next(self.tiny)
        size, count = abs(n), 24 - abs(n).bit_length()
        for bit in self.bits[self.at : self.at + count]:
            size = 2 * size + bit
        self.at += count
        return _float_bits(math.copysign(size * 2.0**-count * step, n))

    def is_read(self):
        return next(self.tiny, None) is None and 0 <= len(self.bits) - self.at < 8


def _float_bits(value):
    return struct.unpack("<I", struct.pack("<f", value))[0]
