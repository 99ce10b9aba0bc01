"""Contexts of coded JPEG coefficients, from FORMAT.md alone: a part of the plain decoder."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

ZIGZAG = [
    *(0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48),
    *(41, 34, 27, 20, 13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23),
    *(30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63),
]


def _bands(starts):
    return [sum(k >= start for start in starts) - 1 for k in range(64)]


BAND24 = _bands([*range(13), 14, 16, 18, 21, 24, 28, 32, 37, 43, 49, 56])
BAND12 = _bands([0, 1, 2, 3, 6, 10, 15, 21, 28, 36, 45, 54])
# (bands, values) of the families of contexts, in the order in which their lines lie.
VALUE = [(24, 73), (12, 196), (24, 78), (24, 78), (24, 130), (12, 216)]
BEHIND_SIGN = [(12, 260), (24, 62)]
SIGN = [(24, 62), (12, 225), (12, 234), (12, 81)]
LAST = [(9, 64), (9, 256), (9, 144), (9, 192), (9, 256), (9, 192), (9, 512), (9, 192)]
REST = [(12, 312), (12, 208)]
NOTHING = [0] * 64
# Two blocks as one of half the resolution, in 1/8192: of the first block.
HALVING = [
    [4096, 0, 0, 0, 0, 0, 0, 0],
    [3711, 1670, -283, 78, 0, -52, 117, -332],
    [0, 4017, 0, 0, 0, 0, 0, -799],
    [-1303, 3178, 1942, -332, 0, 222, -805, -632],
    [0, 0, 3784, 0, 0, 0, -1567, 0],
    [871, -1416, 2907, 1670, 0, -1116, -1204, 282],
    [0, 0, 0, 3406, 0, -2276, 0, 0],
    [-738, 1116, -1420, 2948, 0, -1970, 588, -222],
]


def _places():
    at, places = 0, []
    for families in (VALUE, BEHIND_SIGN, SIGN, LAST, REST):
        places.append([])
        for bands, values in families:
            places[-1].append(at)
            at += bands * values
    return places


VALUE_AT, BEHIND_SIGN_AT, SIGN_AT, LAST_AT, REST_AT = _places()


def clip(x, low, high):
    return max(low, min(high, x))


def sign(x):
    return (x > 0) - (x < 0)


def _class(*starts):
    return lambda x: sum(x >= start for start in starts)


class12 = _class(1, 2, 3, 4, 5, 7, 9, 13, 21, 41, 81)
class6 = _class(1, 2, 3, 5, 11)
class4 = _class(1, 2, 5)
_halves = _class(1, 2, 3, 4, 5, 6, 9, 13, 20, 32, 64, 128)
_fine = _class(
    *range(1, 8),
    *range(8, 16, 2),
    *range(16, 32, 4),
    *range(32, 64, 8),
    *range(64, 128, 16),
    *range(128, 513, 64),
)
expected73 = _class(
    *range(0, 48, 2), *range(48, 96, 4), *range(96, 192, 8), *range(192, 384, 16),
    *range(384, 768, 64), *range(768, 2049, 256),
)  # fmt: skip


def size13(x):
    return _halves((abs(x) + 4) >> 3)


def signed26(x):
    return 2 * size13(x) + (x < 0)


def size31(x):
    return _fine((abs(x) + 1) >> 1)


def signed62(x):
    return size31(x) + 31 * (x < 0)


def signed15(x):
    return 7 - min(size13(x), 7) if x < 0 else 7 + min(size13(x), 7)


def behind_sign(k, towards, scale):
    return [
        BEHIND_SIGN_AT[0] + BAND12[k] * 260 + signed26(towards) * 10 + scale,
        BEHIND_SIGN_AT[1] + BAND24[k] * 62 + signed62(towards),
    ]


def rest(k, j, i, towards, beyond):
    return [
        REST_AT[0] + BAND12[k] * 312 + min(j, 11) * 26 + signed26(towards),
        REST_AT[1] + min(j, 11) * 208 + min(i, 7) * 26 + signed26(beyond),
    ]


def share(frequency):
    return 256 if frequency else 181


def magnitude_byte(x):
    whole = (x + 1).bit_length() - 1
    part = ((x + 1) << 8 >> whole) - 256
    return min((whole * 256 + part) * 24 >> 8, 255)


def signed_byte(x):
    half = magnitude_byte(abs(x)) >> 1
    return 128 - half if x < 0 else 128 + half


def last_of(block):
    return max((k for k in range(1, 64) if block[ZIGZAG[k]]), default=0)


class Trace:
    """What a block leaves."""

    def __init__(self, block, last, rest):
        sizes = [abs(block[ZIGZAG[k]]) for k in range(64)]
        self.last, self.activity, self.high = last, sum(sizes[1:]), sum(sizes[21:])
        self.count, self.rest = sum(size > 0 for size in sizes[1:]), rest
        self.lower, self.right = [0] * 8, [0] * 8
        self.products = [0] * 5
        self.error, self.hoped = [0] * 64, [0] * 64


class Plane:
    """A component in a group: its blocks so far, and what each left."""

    def __init__(self, rows, columns, horizontal, vertical, steps):
        self.rows, self.columns = rows, columns
        self.horizontal, self.vertical, self.steps = horizontal, vertical, steps
        self.blocks, self.traces = [], []
        self.means, self.mean_last = [0] * 64, 0

    def at(self, y, x):
        inside = y >= 0 and 0 <= x < self.columns
        return self.blocks[y * self.columns + x] if inside else NOTHING

    def trace(self, y, x):
        if y >= 0 and 0 <= x < self.columns:
            return self.traces[y * self.columns + x]
        return Trace([0] * 64, 0, 0)

    def beside(self, other, y, x):
        """Its block at another component's place."""
        if not self.blocks:
            return NOTHING
        row = min(y * self.vertical // other.vertical, self.rows - 1)
        column = min(x * self.horizontal // other.horizontal, self.columns - 1)
        return self.at(row, column)

    def seen_from(self, other, y, x):
        """Its coefficients, dequantised, at another component's place and resolution."""
        if not self.blocks:
            return NOTHING
        down, along = (
            own // its if own in (2 * its, 4 * its) else 1
            for own, its in ((self.vertical, other.vertical), (self.horizontal, other.horizontal))
        )
        top, left = y * self.vertical // other.vertical, x * self.horizontal // other.horizontal
        blocks = [
            [
                [
                    clip(c * max(q, 1), -4095, 4095)
                    for c, q in zip(
                        self.at(min(top + i, self.rows - 1), min(left + j, self.columns - 1)),
                        self.steps,
                        strict=True,
                    )
                ]
                for j in range(along)
            ]
            for i in range(down)
        ]
        while len(blocks[0]) > 1:
            blocks = [
                [halve(a, b, 1) for a, b in zip(row[::2], row[1::2], strict=True)] for row in blocks
            ]
        while len(blocks) > 1:
            blocks = [
                [halve(a[0], b[0], 8)] for a, b in zip(blocks[::2], blocks[1::2], strict=True)
            ]
        kept = [clip(c, -4095, 4095) for c in blocks[0][0]]
        return [0 if 2 * abs(c) < max(q, 1) else c for c, q in zip(kept, other.steps, strict=True)]


def halve(first, second, apart):
    """Coefficients of two blocks beside each other (apart 1) or above each other (8), as one."""
    out = [0] * 64
    for line in range(8):
        at = [(8 * line + i if apart == 1 else 8 * i + line) for i in range(8)]
        for i in range(8):
            total = 4096
            for j in range(8):
                other = -second[at[j]] if (i + j) % 2 else second[at[j]]
                total += HALVING[i][j] * (first[at[j]] + other)
            out[at[i]] = total >> 13
    return out


def towards_zero(a, b):
    return sign(a) * (abs(a) // b)


class Block:
    """A block while it is decoded."""

    def __init__(self, plane, planes, number, y, x, linear):
        self.plane, self.steps, self.linear = plane, plane.steps, linear
        self.chroma = number in (1, 2)
        self.has_north, self.has_west = y > 0, x > 0
        north, west = plane.at(y - 1, x), plane.at(y, x - 1)
        self.north = north if y else west
        self.west = west if x else self.north
        self.northwest = plane.at(y - 1, x - 1)
        self.northeast = plane.at(y - 1, x + 1) if x + 1 < plane.columns else plane.at(y - 1, x)
        self.north_north = plane.at(y - 2, x) if y > 1 else self.north
        self.west_west = plane.at(y, x - 2) if x > 1 else self.west
        # At the place of this block, of N and of W.
        places = ((y, x), (max(y - 1, 0), x), (y, max(x - 1, 0)))
        befores = [planes[1].beside(plane, *at) if number == 2 else NOTHING for at in places]
        sources = planes[:number] if self.chroma else []
        lumas = [
            self.in_half_steps(planes[0].seen_from(plane, *at)) if self.chroma else NOTHING
            for at in places
        ]
        self.luma, self.before = lumas[0], befores[0]
        self.changes = [b[0][0] - b[i][0] for b in (lumas, befores) for i in (1, 2)]
        self.further = [plane.at(y + i, x + j) for i, j in ((-1, -2), (-1, 2), (-2, -1), (-2, 1))]
        self.error, self.hoped_at = [0] * 64, [0] * 64
        self.lately = self.lately_hoped = 0
        self.above, self.left = plane.trace(y - 1, x), plane.trace(y, x - 1)
        self.above_left, self.above_right = plane.trace(y - 1, x - 1), plane.trace(y - 1, x + 1)
        if y == 0:  # nothing lies above, and what the row before this one left is no more
            self.above_left = self.above_right = plane.trace(-1, 0)
        self.near = [abs(a) + abs(b) for a, b in zip(self.north, self.west, strict=True)]
        self.around = [
            13 * n + 6 * (abs(a) + abs(b))
            for n, a, b in zip(self.near, self.northwest, self.northeast, strict=True)
        ]
        self.straight = self.has_north and self.has_west
        self.direct, self.size = [0] * 64, [0] * 64
        if self.straight:
            for n, block in enumerate((self.north, self.west, self.northwest, self.northeast)):
                for z in range(64):
                    self.add_source(64 * (n + 1) + z, self.dequantised(block[z], z))
        self.start_cross(sources, y, x)
        self.north_trace = self.above if self.has_north else self.left
        self.west_trace = self.left if self.has_west else self.above
        self.last_near = (
            3 * (self.north_trace.last + self.west_trace.last)
            + self.above_left.last + self.above_right.last + 4
        ) >> 3  # fmt: skip
        self.activity = class12((self.above.activity + self.left.activity) >> 2)
        self.known = [0] * 64
        self.upper, self.own_left = [0] * 8, [0] * 8
        self.count = self.sum = self.earlier = self.earlier_still = self.hoped = 0
        self.run: Callable[[int, Any, int], list[int]] | None = None
        # Run before the AC coefficients with their last position, where there is a trunk.
        self.run_trunk: Callable[[int], None] | None = None

    def in_half_steps(self, reference):
        return [(2 * c * self.per_step(z) + (1 << 19)) >> 20 for z, c in enumerate(reference)]

    def start_cross(self, sources, y, x):
        """What components before say of this block, from the blocks around it."""
        self.references = [source.seen_from(self.plane, y, x) for source in sources]
        self.followed, self.own, self.mixed = [0, 0], [0, 0], 0
        self.said = [[0] * 64 for _ in sources]
        traces = ((self.above, 2), (self.left, 2), (self.above_left, 1), (self.above_right, 1))
        self.left_sums = [
            sum(times * trace.products[i] for trace, times in traces) for i in range(5)
        ]
        if not sources or not self.straight:
            return
        columns = self.plane.columns
        places = ((y - 1, x), (y, x - 1), (y - 1, x - 1), (y - 1, min(x + 1, columns - 1)))
        for n, place in enumerate(places):
            references = [source.seen_from(self.plane, *place) for source in sources]
            for z in range(64):
                self.hear(64 * (n + 1) + z, [reference[z] for reference in references])

    def hear(self, source, seen):
        if self.straight:
            for r, value in enumerate(seen):
                for z in range(64) if value else ():
                    self.said[r][z] += value * self.linear[64 * source + z]

    def compare(self, z, value):
        """Take an AC coefficient that is known now."""
        seen = [reference[z] for reference in self.references]
        self.hear(z, seen)
        weight = (1 << 20) // max(self.steps[z], 1) ** 2
        for r, reference in enumerate(seen):
            self.followed[r] += weight * self.dequantised(value, z) * reference
            self.own[r] += weight * reference * reference
        if len(seen) > 1:
            self.mixed += weight * seen[0] * seen[1]

    def slopes(self):
        known = [*self.followed, *self.own, self.mixed]
        sums = [a + 4 * k for a, k in zip(self.left_sums, known, strict=True)]
        shift = max(max(map(abs, sums[:4])).bit_length() - 22, 0)
        ridge = ((1 << 20) >> shift) + 1
        c, d, a, b, m = (one >> shift for one in sums)
        a, b = a + ridge, b + ridge
        if len(self.references) == 1:
            found = [towards_zero(4096 * c, a)]
        else:
            both = a * b - m * m
            if both <= 0:
                return [0, 0]
            found = [
                towards_zero(4096 * (c * b - d * m), both),
                towards_zero(4096 * (d * a - c * m), both),
            ]
        return [clip(slope, -32768, 32768) for slope in found]

    def crossed(self, z, prediction):
        """A prediction of the surroundings, moved by what components before say."""
        if not self.references:
            return prediction
        moved = 0
        for slope, reference, said in zip(self.slopes(), self.references, self.said, strict=True):
            moved += slope * ((8192 * reference[z] - said[z]) >> 9)
        return clip(prediction + ((moved >> 12) * self.per_step(z) >> 20), -32000, 32000)

    def dequantised(self, coefficient, z):
        return clip(coefficient * max(self.steps[z], 1), -4095, 4095)

    def add_source(self, source, value):
        if value:
            row = 64 * source
            for z in range(64):
                self.direct[z] += value * self.linear[row + z]
                self.size[z] += abs(value) * self.linear[320 * 64 + row + z]

    def in_steps(self, total, z):
        return clip(total * self.per_step(z) >> 29, -32000, 32000)

    def per_step(self, z):
        q = max(self.steps[z], 1)
        return ((1 << 20) + q // 2) // q

    def across(self, total, z, frequency):
        q = max(self.steps[z], 1)
        scale = ((1 << 28) // share(frequency) + q // 2) // q
        return clip(total * scale >> 24, -32000, 32000)

    def expected(self, z):
        if self.straight:
            return self.in_steps(self.size[z], z)
        return min(self.around[z] * 16 // 38, 32000)

    def inside(self, u, v):
        return self.known[8 * u + v] if 0 <= u < 8 and 0 <= v < 8 else 0

    def network(self, kind, features, k):
        found = self.run(kind, features, k) if self.run else [0] * 64
        # What is negative has the outputs of what is positive where it has none of its own.
        return found if kind == 0 or len(found) == 32 else found[:11] + found[1:10] + [0] * 10

    def prepare_last(self):
        luma_last = luma_sum = before_last = 0
        if self.chroma:
            luma_last, before_last = last_of(self.luma), last_of(self.before)
            luma_sum = sum(abs(c) for c in self.luma[1:])
        expected_last = max((k for k in range(1, 64) if self.expected(ZIGZAG[k]) >= 6), default=0)
        near, activity = self.last_near, self.activity
        numbers = [
            near,
            (self.north_trace.last >> 2) * 16 + (self.west_trace.last >> 2),
            class12(self.above.activity) * 12 + class12(self.left.activity),
            activity * 16 + (near >> 2),
            (luma_last >> 2) * 16 + (near >> 2),
            (luma_last >> 2) * 12 + class12(luma_sum),
            (before_last >> 2) * 32 + (near >> 1)
            if self.chroma
            else (self.above_left.last >> 2) * 16 + (self.above_right.last >> 2),
            expected_last * 3 + (activity >> 2),
        ]
        lines = [at + 9 * n for at, n in zip(LAST_AT, numbers, strict=True)]
        network = self.network(0, self.last_features(), 0)
        return SimpleNamespace(lines=lines, near=near, activity=activity, network=network)

    def start(self, last):
        self.last = last
        if self.run_trunk and last:
            self.run_trunk(last)
        for k in range(63, last, -1):
            self.compare(ZIGZAG[k], 0)

    def add(self, z, value):
        """Take the AC coefficient that was decoded last."""
        self.known[z] = value
        self.error[z] = clip(16 * value - self.guess, -32000, 32000)
        self.hoped_at[z] = self.hope
        self.lately = self.lately * 3 // 4 + 16 * abs(value)
        self.lately_hoped = self.lately_hoped * 3 // 4 + self.hope
        self.earlier, self.earlier_still = abs(value), self.earlier
        self.compare(z, value)
        if not value:
            return
        u, v, real = z >> 3, z & 7, self.dequantised(value, z)
        self.count, self.sum = self.count + 1, self.sum + abs(value)
        self.upper[v] += share(u) * real
        self.own_left[u] += share(v) * real
        if self.straight:
            self.add_source(z, real)

    def prepare_ac(self, k):
        z = ZIGZAG[k]
        u, v = z >> 3, z & 7
        around = class12((self.around[z] + 9) // 12)
        beside, under = abs(self.inside(u, v + 1)), abs(self.inside(u + 1, v))
        beyond = sum(abs(self.inside(u + a, v + b)) for a, b in ((1, 1), (0, 2), (2, 0)))
        inside = class12(2 * (beside + under) + beyond)
        from_north = from_west = 0
        if self.has_north:
            from_north = self.across(self.above.lower[v] - self.upper[v], z, u)
        if self.has_west:
            from_west = self.across(self.left.right[u] - self.own_left[u], z, v)
        edges = from_north if u == 0 else from_west
        if u and v:
            edges = towards_zero(from_north * v + from_west * u, 2 * (u + v))
        prediction = self.in_steps(self.direct[z], z) if self.straight else edges
        crossed = self.crossed(z, prediction)
        size = expected73(self.expected(z))
        scale, apart = size >> 3, size13(crossed)
        luma, before = self.luma[z], self.before[z]
        others = (abs(self.northwest[z]), abs(self.northeast[z]), self.near[z])
        value = [
            size,
            (class6(beside) * 6 + class6(under)) * 4 + class4(beyond),
            size13(from_north) * 6 + (around >> 1),
            size13(from_west) * 6 + (around >> 1),
            apart * 10 + scale,
            class6(abs(luma)) * 36 + class6(abs(before)) * 6 + (around >> 1)
            if self.chroma
            else class6(others[0]) * 36 + class6(others[1]) * 6 + class6(others[2]),
        ]  # fmt: skip
        signs = [sign(self.inside(u + a, v + b)) for a, b in ((0, 1), (1, 0), (0, 2), (2, 0))]
        signs_of = [
            signed62(crossed),
            signed15(from_north) * 15 + signed15(from_west),
            ((signs[0] + 1) * 3 + signs[1] + 1) * 26 + signed26(edges),
            (sign(luma) + 1) * 18 + (sign(before) + 1) * 6 + class6(abs(before))
            if self.chroma
            else (sign(self.north[z]) + 1) * 27 + (sign(self.west[z]) + 1) * 9
            + (signs[2] + 1) * 3 + signs[3] + 1,
        ]  # fmt: skip
        features = self.ac_features(k, prediction, crossed, from_north, from_west, edges)
        self.guess, self.hope = prediction, max(self.expected(z), 0)
        self.hoped += self.hope
        return SimpleNamespace(
            position=k, known=k == self.last, prediction=crossed, scale=scale,
            value=_lines(VALUE_AT, VALUE, k, value), sign=_lines(SIGN_AT, SIGN, k, signs_of),
            expected=size >> 1, inside=inside + 12 * class4(self.count), edge=apart,
            network=self.network(2, features, k),
        )  # fmt: skip

    def prepare_dc(self):
        from_north = self.across(self.above.lower[0] - self.upper[0], 0, 0)
        from_west = self.across(self.left.right[0] - self.own_left[0], 0, 0)
        edges = from_north if self.has_north else from_west if self.has_west else 0
        if self.has_north and self.has_west:
            edges = (from_north + from_west) >> 1
        exact = self.in_steps(self.direct[0], 0) if self.straight else edges
        crossed = self.crossed(0, exact)
        base = (crossed + 8) >> 4
        prediction = crossed - 16 * base
        north, west, northwest = self.north[0], self.west[0], self.northwest[0]
        apart, differ = size13(from_north - from_west), signed26(edges - exact)
        total, low = class12(self.sum), class12(abs(self.known[1]) + abs(self.known[8]))
        gradient = class6(abs(north - northwest)) * 6 + class6(abs(west - northwest))
        north_rest, west_rest = from_north - 16 * base, from_west - 16 * base
        value = [
            size31(from_north - from_west),
            gradient * 4,
            size13(north_rest) * 6 + (total >> 1),
            size13(west_rest) * 6 + (total >> 1),
            apart * 10 + min(total, 9),
            class6(abs(self.luma[0])) * 36 + class6(abs(self.before[0])) * 6 + (total >> 1)
            if self.chroma
            else (self.activity >> 1) * 36 + gradient,
        ]
        planar = clip((west + north - northwest - base) * 8, -32000, 32000)
        signs_of = [
            signed62(prediction),
            signed15(north_rest) * 15 + signed15(west_rest),
            min(apart, 8) * 26 + signed26(planar),
            signed26(self.before[0] * 8) * 3 + sign(edges - exact) + 1
            if self.chroma
            else differ * 3 + sign(self.northeast[0] - base) + 1,
        ]
        rests = [north_rest, west_rest, edges - exact, prediction]
        rests += [
            16 * (n - base) for n in (west + north - northwest, north, west, self.northeast[0])
        ]
        rests.append(from_north - from_west)
        return SimpleNamespace(
            position=0, known=False, base=base, prediction=prediction, scale=min(total, 9),
            value=_lines(VALUE_AT, VALUE, 0, value), sign=_lines(SIGN_AT, SIGN, 0, signs_of),
            expected=apart, inside=total + 12 * class4(low), edge=size13(edges - exact),
            network=self.network(1, self.dc_features(rests), 0),
        )  # fmt: skip

    def finish(self, dc, rest):
        self.known[0] = dc
        plane, trace = self.plane, Trace(self.known, self.last, rest)
        sizes = [abs(c) for c in [rest, *self.known[1:]]]
        plane.means = [m + (((c << 12) - m) >> 6) for m, c in zip(plane.means, sizes, strict=True)]
        plane.mean_last += ((self.last << 8) - plane.mean_last) >> 6
        for z, coefficient in enumerate(self.known):
            u, v, real = z >> 3, z & 7, self.dequantised(coefficient, z)
            trace.lower[v] += (-real if u & 1 else real) * share(u)
            trace.right[u] += (-real if v & 1 else real) * share(v)
        trace.error, trace.hoped = self.error, self.hoped_at
        trace.products = [*self.followed, *self.own, self.mixed]
        self.plane.blocks.append(self.known)
        self.plane.traces.append(trace)

    def block_features(self, last):
        traces = (self.above, self.left, self.above_left, self.above_right)
        luma = self.luma if self.chroma else NOTHING
        return [
            4 * last, 4 * self.last_near, 4 * self.above.last, 4 * self.left.last,
            *(magnitude_byte(t.activity) for t in traces),
            magnitude_byte(max(self.steps[0], 1)),
            magnitude_byte(sum(abs(c) for c in luma[1:])),
            4 * last_of(luma), 4 * last_of(self.before),
            128 * self.has_north + 64 * self.has_west,
        ]  # fmt: skip

    def last_features(self):
        seen = [*range(1, 29), 30, 32, 34, 36, 39, 42, 45, 48, 51, 54, 57, 60, 63]
        sizes = [magnitude_byte(max(self.expected(ZIGZAG[k]), 0)) for k in seen]
        lasts = [self.above_left.last, self.above_right.last]
        lasts += [last_of(self.north_north), last_of(self.west_west)]
        steps = [magnitude_byte(max(self.steps[z], 1)) for z in (1, 9, 27, 63)]
        apart = magnitude_byte(abs(self.north[0] - self.west[0]))
        traces = (self.above, self.left, self.above_left, self.above_right)
        means = [1, 3, 5, 8, 11, 14, 18, 21, 24, 28, 33, 38, 43, 48, 54, 63]
        luma_high = sum(abs(self.luma[ZIGZAG[k]]) for k in range(21, 64))
        return [
            *self.block_features(0), *sizes, *(4 * n for n in lasts), *steps, apart,
            *(4 * t.count for t in traces),
            *(magnitude_byte(t.high) for t in traces),
            *(magnitude_byte(self.plane.means[ZIGZAG[k]] >> 8) for k in means),
            self.plane.mean_last >> 6,
            magnitude_byte(luma_high), magnitude_byte(sum(abs(c) for c in self.before[1:])),
            *[0] * 6,
        ]  # fmt: skip

    def ac_features(self, k, prediction, crossed, from_north, from_west, edges):
        z = ZIGZAG[k]
        u, v = z >> 3, z & 7
        steps = [(0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (0, 3), (3, 0), (2, 2)]
        steps += [(1, -1), (-1, 1), (-1, 2), (2, -1)]
        own = [self.inside(u + a, v + b) for a, b in steps]
        further = [(1, 3), (3, 1), (0, 4), (4, 0)]
        blocks = (self.north, self.west, self.northwest, self.northeast)
        blocks += (self.north_north, self.west_west)

        def cross(block):
            cells = ((u - 1, v), (u, v - 1), (u + 1, v), (u, v + 1))
            inside = [0 <= a < 8 and 0 <= b < 8 for a, b in cells]
            return [
                abs(block[8 * a + b]) if i else 0 for (a, b), i in zip(cells, inside, strict=True)
            ]

        def beside(block):
            return sum(cross(block))

        def hoped(k):
            return magnitude_byte(max(self.expected(ZIGZAG[k]), 0))

        sizes = [max(self.expected(z), 0), max(self.expected(ZIGZAG[k - 1]), 0), self.around[z]]
        predictions = (prediction, from_north, from_west, edges)
        return [
            *self.block_features(self.last),
            *(magnitude_byte(abs(c)) for c in own),
            *(signed_byte(c) for c in own[:5]),
            *(magnitude_byte(abs(b[z])) for b in blocks),
            magnitude_byte(beside(self.north)), magnitude_byte(beside(self.west)),
            signed_byte(self.north[z]), signed_byte(self.west[z]),
            4 * (self.last - k), 4 * self.count,
            *(magnitude_byte(n) for n in (self.sum, self.earlier, self.earlier_still)),
            *(magnitude_byte(s) for s in sizes),
            *(magnitude_byte(abs(p)) for p in predictions),
            *(signed_byte(p) for p in predictions),
            magnitude_byte(max(self.steps[z], 1)),
            magnitude_byte(abs(self.luma[z])), magnitude_byte(abs(self.before[z])),
            signed_byte(crossed if self.chroma else 0), signed_byte(self.before[z]),
            *(magnitude_byte(abs(self.inside(u + a, v + b))) for a, b in further),
            *(signed_byte(c) for c in own[5:10]),
            *(magnitude_byte(c) for c in cross(self.north) + cross(self.west)),
            signed_byte(self.northwest[z]), signed_byte(self.northeast[z]),
            *(magnitude_byte(beside(b)) for b in (self.northwest, self.northeast)),
            magnitude_byte(beside(self.luma)), magnitude_byte(beside(self.before)),
            magnitude_byte(self.plane.means[z] >> 8), magnitude_byte(self.hoped),
            hoped(min(k + 1, 63)), hoped(max(k - 2, 1)),
            magnitude_byte(max(self.steps[9], 1)),
            4 * self.above.count, 4 * self.left.count,
            magnitude_byte(max(self.steps[1], 1)),
            *(magnitude_byte(abs(c)) for c in (crossed, crossed - prediction) if self.chroma),
            *([] if self.chroma else [0, 0]),
        ]  # fmt: skip

    def dc_features(self, rests):
        cells = (1, 8, 9, 2, 16, 3, 24, 10)
        own = [self.known[z] for z in cells]
        north, west = self.north[0], self.west[0]
        traces = (self.above, self.left, self.above_left, self.above_right)
        left = [trace.rest for trace in traces]
        others = (
            *(north - self.northwest[0], west - self.northwest[0], north - self.northeast[0]),
            *(north - self.north_north[0], west - self.west_west[0]),
        )
        return [
            *self.block_features(self.last),
            *(magnitude_byte(abs(r)) for r in rests),
            *(signed_byte(r) for r in rests),
            *(magnitude_byte(abs(c)) for c in own),
            *(signed_byte(c) for c in own),
            4 * self.count, magnitude_byte(self.sum),
            *(magnitude_byte(abs(d)) for d in others),
            signed_byte(self.before[0]), signed_byte(self.luma[0]),
            *(magnitude_byte(abs(r)) for r in left),
            *(signed_byte(r) for r in left),
            *(magnitude_byte(abs(c)) for c in self.changes),
            *(signed_byte(c) for c in self.changes),
            magnitude_byte(self.plane.means[0] >> 8),
            magnitude_byte(abs(self.northeast[0] - self.northwest[0])),
            signed_byte(self.before[1]), signed_byte(self.before[8]),
            *(magnitude_byte(abs(self.known[z])) for z in (11, 25, 5, 40)),
            *(signed_byte(self.known[z]) for z in (11, 25, 5, 40)),
            *[0] * 12,
        ]  # fmt: skip


def _lines(starts, families, k, numbers):
    bands = [BAND24[k] if bands == 24 else BAND12[k] for bands, _ in families]
    return [
        start + band * values + number
        for start, band, (_, values), number in zip(starts, bands, families, numbers, strict=True)
    ]
