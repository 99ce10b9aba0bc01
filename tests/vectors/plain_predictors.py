"""Predictors and their network, from FORMAT.md alone: a part of the plain decoder."""

from tests.vectors.plain_adaptation import Learner, clamp, dot, leak

PLACES = ((0, -1), (0, -2), (-1, 0), (-1, -1), (-1, 1), (-2, 0))


def towards_zero(a, b):
    return a // b if a >= 0 else -(-a // b)


def inward(v):
    return clamp((v + 2048) >> 12, -127, 127)


class Strip:
    """Rows of a tile that share weights."""

    def __init__(self, rows, above, size):
        self.rows, self.above = rows, above
        self.weights = []
        self.sums = [[0] * size for _ in range(size)]
        self.seen = {}

    def has_pixel(self, step, width):
        return any(0 <= step - 2 * y < width for y in self.rows)


class Predictor:
    """A predictor while it decodes a tile."""

    def __init__(self, model, number, taps, tile):
        p = model.profile["predictors"][number]
        self.every, self.sweeps, self.forget = p["every"], p["sweeps"], p["forget"]
        self.taps = nearest(taps, p["taps"])
        self.width, self.t = tile.width, 3 * p["taps"]
        self.prior = matrix(model, f"predictor_{number}_prior")
        self.errors, self.strips = {}, []
        start = matrix(model, f"predictor_{number}_start")
        above = Strip(range(0), None, self.t + 3)
        above.weights = [start[c][: self.t + c] for c in range(3)]
        for top in range(0, tile.height, p["rows"]):
            rows = range(top, min(top + p["rows"], tile.height))
            self.strips.append(above := Strip(rows, above, self.t + 3))

    def strip(self, y):
        return next(strip for strip in self.strips if y in strip.rows)

    def begin(self, step):
        for strip in self.strips:
            if 2 * strip.rows[0] == step:
                strip.weights = [list(row) for row in strip.above.weights]

    def spread(self, y, x, c):
        places = [(y + dy, x + dx) for dy, dx in PLACES]
        return sum(abs(self.errors[at][c]) for at in places if at in self.errors)

    def update(self, step):
        if (step + 1) % self.every:
            return
        strips = [strip for strip in self.strips if strip.has_pixel(step, self.width)]
        for strip in strips:
            for at in range(step - self.every + 1, step + 1):
                for numbers in strip.seen.pop(at, []):
                    for row, a in zip(strip.sums, numbers, strict=True):
                        row[:] = [q + a * b for q, b in zip(row, numbers, strict=True)]
        for strip in strips:
            self.solve(strip)
        for strip in strips:
            strip.sums = [[q - (q >> self.forget) for q in row] for row in strip.sums]

    def solve(self, strip):
        sums = [
            [a + b + c for a, b, c in zip(*rows, strict=True)]
            for rows in zip(strip.sums, strip.above.sums, self.prior, strict=True)
        ]
        for _ in range(self.sweeps):
            for i in range(self.t + 2):
                for c, own in enumerate(strip.weights):
                    if i < len(own):
                        off = 4096 * sums[i][self.t + c] - dot(sums[i], own)
                        e = towards_zero(off, sums[i][i] + 2000)
                        own[i] = clamp(own[i] + e, -32767, 32767)


def nearest(taps, count):
    """Numbers of the taps of a predictor."""
    order = [(dy * dy + dx * dx, -dy, k) for k, (dy, dx) in enumerate(taps)]
    return sorted(k for _, _, k in sorted(order)[:count])


def matrix(model, name):
    (_, columns), values = model.tensors[name]
    return [list(values[i : i + columns]) for i in range(0, len(values), columns)]


class Guess:
    """What a predictor says of a pixel."""

    def __init__(self, predictor, pixel):
        self.pixel, self.t = pixel, predictor.t
        self.weights = predictor.strip(pixel.y).weights
        self.regressors = [pixel.u(d[k]) for k in predictor.taps for d in pixel.differences]
        self.trunk = [dot(self.regressors, own) for own in self.weights]
        self.spread = [predictor.spread(pixel.y, pixel.x, c) for c in range(3)]

    def full(self, c, known):
        return self.trunk[c] + dot(self.weights[c][self.t :], self.pixel.residuals(known))

    def base(self, c, known):
        pixel, q = self.pixel, clamp((self.full(c, known) + 128) >> 8, -4095, 4095)
        return clamp(64 * pixel.med[c] + ((91 * q * (27 + pixel.s) + 4096) >> 13), 0, 16320)

    def error(self, c, known):
        return 4 * known[c] - ((self.base(c, known) + 8) >> 4)


class Pixel:
    """A pixel and the guesses of all predictors; known: its first channels."""

    def __init__(self, model, tile, y, x, med, activity, differences):
        self.y, self.x, self.label = y, x, tile.labels(y, x)
        self.med, self.differences, self.s = med, differences, sum(activity)
        self.reciprocal = model.table("reciprocal")[self.s]
        self.guesses, self.context, self.features = [], [], []
        self.learner: Learner | None = None
        self.coded = tile.widths(y, x) == 1
        self.heard = {}  # of each channel what its hidden layer sees and says, and its mixture

    def u(self, v):
        return clamp((v * self.reciprocal + 2048) >> 12, -127, 127)

    def small(self, error):
        return clamp((error * self.reciprocal + 8192) >> 14, -127, 127)

    def gain(self, c):
        return max(self.guesses[0].spread[c] + 12, 16)

    def residuals(self, known):
        return [self.u(v - m) for v, m in zip(known, self.med, strict=False)]

    def mean_terms(self, c, values):
        """How far a step of each gamma and beta of channel c moves its means, in 1/4096."""
        bases = [guess.base(c, values) - 64 * self.med[c] for guess in self.guesses]
        return bases + [16 * self.guesses[0].error(j, values) for j in range(c)]


class Network:
    """The network of a model with predictors, for the tiles of a group."""

    def __init__(self, model, taps, tiles):
        self.model = model
        numbers = range(len(model.profile["predictors"]))
        self.predictors = {
            tile: [Predictor(model, number, taps, tile) for number in numbers] for tile in tiles
        }
        tuned = tiles if "adaptation" in model.profile else []
        self.learners = {tile: Learner(model) for tile in tuned}
        self.begin(0)

    def begin(self, step):
        for predictors in self.predictors.values():
            for predictor in predictors:
                predictor.begin(step)

    def look(self, tile, y, x, med, activity, differences):
        """A pixel of which nothing is decoded."""
        model, predictors = self.model, self.predictors[tile]
        pixel = Pixel(model, tile, y, x, med, activity, differences)
        pixel.learner = self.learners.get(tile)
        pixel.guesses = [Guess(predictor, pixel) for predictor in predictors]
        inputs = [pixel.u(d[k]) for k in range(len(differences[0])) for d in differences]
        inputs += [model.table("log_activity")[a] - 32 for a in activity]
        inputs += [(m - 128) >> 1 for m in med]
        for number, guess in enumerate(pixel.guesses):
            inputs += [inward(v) for v in guess.trunk]
            for dy, dx in PLACES if number == 0 else ():
                errors = predictors[0].errors.get((y + dy, x + dx), [0, 0, 0])
                inputs += [pixel.small(error) for error in errors]
            inputs += [model.table("log_error")[v] - 32 for v in guess.spread]
        pixel.context = leak(model.layer("context", 0, inputs))
        pixel.features = self.layer(pixel, "fusion", 0, pixel.context)
        return pixel

    def layer(self, pixel, name, group, x):
        """A layer that may have learnt."""
        own = pixel.learner.layers.get(name) if pixel.learner else None
        return leak(own.answer(group, x) if own else self.model.layer(name, group, x))

    def mixture(self, pixel, known, c):
        """Weight, mean and scale of each component."""
        model, k, n = self.model, self.model.profile["mixtures"], len(pixel.guesses)
        log_error, first = model.table("log_error"), pixel.guesses[0]
        errors = [first.error(j, known) for j in range(c)]
        wide = [inward(guess.full(c, known)) for guess in pixel.guesses]
        beside = wide[:1]
        for error in errors:
            a = pixel.small(error)
            beside += [a, abs(a), log_error[6 * abs(error)] - 32]
        beside += wide[1:]
        inputs = pixel.features + ([4 * v for v in beside] if c else [])
        hidden = self.layer(pixel, "hidden_" + "rgb"[c], pixel.label, inputs)
        p = model.layer("output_" + "rgb"[c], pixel.label, hidden)
        if pixel.learner:
            p = pixel.learner.correct(c, hidden, p)
        pi, mu, scale, gamma, beta = (
            p[:k],
            p[k:][:k],
            p[2 * k :][:k],
            p[3 * k :][:n],
            p[3 * k :][n:],
        )
        med, spread = 64 * pixel.med[c], first.spread[c]
        shared = med + sum((clamp(b, -96, 96) * e) >> 2 for b, e in zip(beta, errors, strict=True))
        for g, guess in zip(gamma, pixel.guesses, strict=True):
            shared += (g * (guess.base(c, known) - med) + 32) >> 6
        parts = []
        for j in range(k):
            mean = shared + ((mu[j] * pixel.gain(c)) >> 4)
            i = clamp((scale[j] >> 2) + log_error[spread] + 48, 0, 175)
            parts.append((model.table("exp")[min(max(pi) - pi[j], 511)], mean, i))
        pixel.heard[c] = inputs, hidden, parts
        return parts

    def learn(self, step, places, pixels):
        """After a step; places: tile, row and column of each pixel of it."""
        for (tile, y, x), pixel in zip(places, pixels, strict=True):
            values = tile.pixels[y, x]
            for predictor, guess in zip(self.predictors[tile], pixel.guesses, strict=True):
                predictor.errors[y, x] = [guess.error(c, values) for c in range(3)]
                numbers = guess.regressors + pixel.residuals(values)
                predictor.strip(y).seen.setdefault(step, []).append(numbers)
            if pixel.learner and pixel.coded:
                pixel.learner.note(pixel, values)
        for tile, learner in self.learners.items():
            learner.end_step(sum(place[0] is tile for place in places))
        for predictors in self.predictors.values():
            for predictor in predictors:
                predictor.update(step)
        self.begin(step + 1)
