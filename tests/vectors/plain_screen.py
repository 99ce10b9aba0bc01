"""Screen coding, decoded from FORMAT.md alone: a part of the plain decoder."""

from collections import defaultdict

U32 = (1 << 32) - 1


def clamp(x, low, high):
    return max(low, min(high, x))


def squash_values():
    e, values = 1 << 20, {}
    for t in range(2048):
        values[t] = 65536 * e // (e + (1 << 20))
        values[-t] = 65536 - values[t]
        e += (e * 98591) >> 24
    return values


SQUASH = squash_values()


def squash(t):
    return SQUASH[clamp(t, -2047, 2047)]


def stretch_values():
    t = -2047
    for p in range(65536):
        while t < 2047 and SQUASH[t] < p:
            t += 1
        yield t


STRETCH = list(stretch_values())
CLASSES = [0, 1, 2, 3, *[4] * 2, *[5] * 6, *[6] * 20, *[7] * 96]


def step(d, n):
    return (d * (131072 // (2 * n + 3))) >> 16


def hashed(a, *more):
    for b in more:
        h = ((a ^ b) * 0x2C1B3C6D) & U32
        a = h ^ (h >> 15)
    return a


class Slot:
    def __init__(self):
        self.p, self.n = 1 << 21, 0

    def input(self):
        return (STRETCH[self.p >> 6] if self.n else 0), CLASSES[self.n]

    def learn(self, bit):
        self.p += step(((1 << 22) - 1 if bit else 0) - self.p, self.n)
        self.n = min(self.n + 1, 127)


class Line:
    def __init__(self):
        self.check, self.uses, self.slots = None, 0, []

    def begin(self, check):
        self.check, self.uses, self.slots = check, 1, [Slot() for _ in range(16)]


class Decisions:
    """Weights and curves of one kind of decision."""

    def __init__(self, coder):
        self.coder = coder
        self.weights = defaultdict(lambda: 1 << 13)
        self.curves = defaultdict(lambda: [squash(4096 * k // 24 - 2048) for k in range(25)])

    def bit(self, slots, extras, a, b, curve):
        inputs = [slot.input() for slot in slots] + extras
        used = [("a", a, i, c) for i, (_, c) in enumerate(inputs)]
        used_too = [("b", b, i, c) for i, (_, c) in enumerate(inputs)]
        total = sum(
            value * (self.weights[u] + self.weights[v])
            for (value, _), u, v in zip(inputs, used, used_too, strict=True)
        )
        t = clamp(total >> 16, -2047, 2047)
        m, v = squash(t), self.curves[curve]
        k, r = divmod(24 * (t + 2048), 4096)
        c = (v[k] * (4096 - r) + v[k + 1] * r) >> 12
        p = clamp((m + 3 * c + 2) >> 2, 1, 65535)
        bit = self.coder.split(256 * (65536 - p))
        for keys in (used, used_too):
            for (value, _), key in zip(inputs, keys, strict=True):
                moved = self.weights[key] + ((value * (65536 * bit - m) + (1 << 15)) >> 16)
                self.weights[key] = clamp(moved, -(1 << 20), 1 << 20)
        for slot in slots:
            slot.learn(bit)
        k += r >= 2048
        v[k] += (65535 * bit - v[k]) >> 5
        return bit


class Unit:
    def __init__(self):
        self.b, self.e, self.n = 0, 1024, 0


class Prediction:
    def __init__(self, unit, prediction):
        self.unit, e = unit, unit.e >> 6
        self.mean = 16 * prediction + (unit.b >> 8)
        self.steepness = 60672 // (e + 2)
        self.size = clamp(e.bit_length() - 2, 0, 7)

    def below(self, x):
        if x in (0, 256):
            return 256 * x
        return squash(((16 * x - 8 - self.mean) * self.steepness) >> 8)

    def extra(self, low, b):
        z, x, y = (self.below(v) for v in (low, low + (1 << b), low + (2 << b)))
        return STRETCH[clamp(65536 * (y - x + 1) // (y - z + 2), 1, 65535)], self.size

    def learn(self, level):
        d, unit = 16 * level - self.mean, self.unit
        unit.b += step(256 * d, unit.n + 4)
        unit.e += step(64 * abs(d) - unit.e, unit.n)
        unit.n = min(unit.n + 1, 127)


class Follower:
    def __init__(self):
        self.colour, self.s = 0, 0

    def says(self, colour):
        return (2 if self.colour == colour else 1) if self.s else 0

    def learn(self, colour):
        if self.s and self.colour == colour:
            self.s = min(self.s + 1, 3)
        elif self.s > 1:
            self.s -= 1
        else:
            self.colour, self.s = colour, 1


class Group:
    """A screen coded tile group; coder: its range decoder."""

    def __init__(self, coder, pixels, channels):
        self.channels = channels
        self.bits = clamp((pixels - 1).bit_length(), 8, 18)
        self.lines = defaultdict(Line)
        self.guesses, self.levels = Decisions(coder), Decisions(coder)
        self.by_match, self.by_follower = defaultdict(Slot), defaultdict(Slot)
        self.wide, self.narrow = defaultdict(Follower), defaultdict(Follower)
        self.units = defaultdict(Unit)

    def place(self, h):
        return (h * 0x9E3779B1 & U32) >> (32 - self.bits)

    def line(self, h):
        i, check = self.place(h), h * 0x9E3779B1 & 0xFFFF
        for line in (self.lines[i], self.lines[i ^ 1]):
            if line.uses and line.check == check:
                line.uses = min(line.uses + 1, 255)
                return line
        line, other = self.lines[i], self.lines[i ^ 1]
        if other.uses < line.uses:
            line, other = other, line
        other.uses -= other.uses >> 2
        line.begin(check)
        return line

    def tile(self, height, width):
        """The colours of the next tile."""
        pixels, outcomes, last_at, length, f = [], [], {}, 0, 0

        def colour(y, x):
            if y < 0 or (y == 0 and x < 0):
                return 0
            return pixels[(y - 1) * width] if x < 0 else pixels[y * width + min(x, width - 1)]

        def outcome(y, x):
            return outcomes[y * width + x] if y >= 0 and 0 <= x < width else 0

        for a in range(height * width):
            y, x = divmod(a, width)
            near = Near(lambda dy, dx, y=y, x=x: colour(y + dy, x + dx),
                        lambda dy, dx, y=y, x=x: outcome(y + dy, x + dx))  # fmt: skip
            key = self.place(near.far)
            j = last_at.get(key)
            if not length and j is not None:
                count = 0
                while count < min(32, j) and pixels[j - 1 - count] == pixels[a - 1 - count]:
                    count += 1
                if count >= 3:
                    above = j >= width and pixels[j - width] == pixels[a - width]
                    f, length = j, count if above else min(count, 4)
            last_at[key] = a
            expected = pixels[f] if length else None
            wide = self.wide[self.place(near.around)]
            narrow = self.narrow[self.place(near.close)]
            found = self.guess(near, expected, min(length.bit_length(), 11), wide, narrow)
            pixel = found[1] if found[0] < 6 else self.missed(near)
            pixels.append(pixel)
            outcomes.append(found[0])
            f, length = (f + 1, length + 1) if expected == pixel else (0, 0)
            wide.learn(pixel)
            narrow.learn(pixel)
        return pixels

    def guess(self, near, expected, size, wide, narrow):
        """The outcome, and the colour if a guess was right."""
        contexts = [
            near.four,
            near.far,
            near.close,
            hashed(2, near.equal),
            hashed(3, near.near, near.more, near.equal & 15),
            hashed(4, near.equal & 2047, 16 * near.near | size),
            near.farther,
        ]
        lines = [self.line(h) for h in contexts]
        tried = []
        for g, colour in enumerate((near.w, near.n, expected, near.ne, near.nw)):
            if colour is None or colour in tried:
                continue
            m = 0 if expected is None else 2 if expected == colour else 1
            w, n = wide.says(colour), narrow.says(colour)
            slots = [line.slots[1 + g] for line in lines]
            slots.append(self.by_match[(3 * size + m) * 5 + g])
            slots.append(self.by_follower[(12 * (4 * w + wide.s) + 4 * n + narrow.s) * 5 + g])
            a, b = 16 * g + size, 8 * (9 * m + 3 * w + n) + len(tried)
            if self.guesses.bit(slots, [], a, b, 8 * a + (near.equal & 7)):
                return 1 + g, colour
            tried.append(colour)
        return 6, None

    def missed(self, near):
        """The colour of a pixel that no guess found."""
        order = (1, 2, 0) if self.channels == 3 else (0,)

        def level(colour, c):
            return colour >> (8 * c) & 255

        around = [
            [level(v, c) for v in (near.w, near.n, near.nw, near.ne, near.ww)] for c in range(3)
        ]
        total = sum(
            abs(w - nw) + abs(n - nw) + abs(n - ne) + abs(w - ww)
            for w, n, nw, ne, ww in (around[c] for c in order)
        )
        v, u = min((total // self.channels).bit_length(), 7), near.misses
        pixel, known, d, green = 0, 0, 0, 0
        for q, c in enumerate(order):
            w, n, nw, ne, _ = around[c]
            med = sorted((w, n, w + n - nw))[1]
            first, second = clamp(med + d, 0, 255), (2 * w + 2 * n + ne - nw) >> 2
            if q:
                second = (2 * (med + d) + w + n + 2 * green - around[1][0] - around[1][1]) >> 2
            predictions = [
                Prediction(self.units[0, q, v, u], first),
                Prediction(
                    self.units[1, q, min(abs(d), 15) if q else v, v >> 1], clamp(second, 0, 255)
                ),
            ]
            s = 16 + 8 * q
            hashes = [
                hashed(s, known),
                hashed(s + 1, known, near.w),
                hashed(s + 2, known, near.n),
                hashed(s + 3, known, near.w, near.n),
                hashed(s + 4, known, near.four),
                hashed(s + 5, first, w - n + 256, (d if q else ne - nw) + 512),
            ]
            found = self.level(hashes, predictions, q, v, u)
            if not q:
                d, green = found - med, found
            pixel |= found << (8 * c)
            known = 256 * known + found
        return pixel

    def level(self, hashes, predictions, q, v, u):
        low, node, lines = 0, 1, []
        for b in range(7, -1, -1):
            if b == 7:
                lines = [self.line(h) for h in hashes]
            if b == 3:
                lines, node = [self.line(hashed(h, low + 1)) for h in hashes], 1
            p = 8 * q + b
            bit = self.levels.bit(
                [line.slots[node] for line in lines],
                [prediction.extra(low, b) for prediction in predictions],
                8 * p + v,
                5 * p + u,
                8 * (8 * p + v) + predictions[0].size,
            )
            node, low = 2 * node + bit, low + (bit << b)
        for prediction in predictions:
            prediction.learn(low)
        return low


class Near:
    """The neighbours of a pixel."""

    def __init__(self, colour, outcome):
        self.w, self.n, self.nw, self.ne = w, n, nw, ne = [
            colour(*at) for at in ((0, -1), (-1, 0), (-1, -1), (-1, 1))
        ]
        self.ww = ww = colour(0, -2)
        nn, nne, nee, nww, nnw, www, nnn = [
            colour(*at) for at in ((-2, 0), (-2, 1), (-1, 2), (-1, -2), (-2, -1), (0, -3), (-3, 0))
        ]
        self.close = hashed(1, w, n)
        self.four = hashed(self.close, nw, ne)
        self.around = hashed(self.four, ww, nn)
        self.far = hashed(self.around, nne, nee, nww, nnw, www)
        rest = ((-2, 2), (-2, -2), (-1, 3), (-1, -3), (-3, 0), (-3, 1), (-3, -1))
        self.farther = hashed(self.far, *(colour(*at) for at in rest))
        pairs = [
            (w, n), (w, nw), (n, nw), (n, ne), (w, ww), (n, nn), (w, ne), (nw, nww), (ne, nee),
            (nn, nne), (nn, nnw), (ww, www), (ww, nww), (nnn, nn), (nw, nnw), (ne, nne), (ww, nw),
            (nw, nn), (ne, nn),
        ]  # fmt: skip
        self.equal = sum((a == b) << i for i, (a, b) in enumerate(pairs))
        near = [outcome(*at) for at in ((0, -1), (-1, 0), (-1, -1), (-1, 1))]
        more = [outcome(*at) for at in ((0, -2), (-2, 0), (-1, 2))]
        self.near = sum(o << 3 * i for i, o in enumerate(near))
        self.more = sum(o << 3 * i for i, o in enumerate(more))
        self.misses = near.count(6)


def decode(coder, sizes, channels):
    """The samples of a raw tile group; sizes: height and width of each tile."""
    group, samples = Group(coder, sum(h * w for h, w in sizes), channels), []
    for height, width in sizes:
        for colour in group.tile(height, width):
            samples += [colour >> (8 * c) & 255 for c in range(channels)]
    coder.check_end()
    return bytes(samples)
