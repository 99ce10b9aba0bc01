"""Layers that learn while a tile is decoded, from FORMAT.md alone: a part of the plain decoder."""

from operator import mul


def clamp(x, low, high):
    return max(low, min(high, x))


def leak(values):
    return [max(y, y >> 3) for y in values]


def dot(a, b):
    """Over the places that both have."""
    return sum(map(mul, a, b))


def sign(x):
    return (x > 0) - (x < 0)


class Corrections:
    """Numbers that move against the signs of sums beyond `noise`: [output][input]."""

    def __init__(self, rows, columns, rate, limit, noise=0, memory=0):
        self.rate, self.limit, self.noise, self.memory = rate, limit, noise, memory
        self.values = [[0] * columns for _ in range(rows)]
        self.sums = [[0] * columns for _ in range(rows)]

    def note(self, slopes, x):
        for row, slope in zip(self.sums, slopes, strict=True):
            row[:] = [g + slope * v for g, v in zip(row, [*x, 128], strict=True)]

    def move(self):
        for values, sums in zip(self.values, self.sums, strict=True):
            values[:] = [
                clamp(a - self.rate * sign(g), -self.limit, self.limit)
                if abs(g) > self.noise
                else a
                for a, g in zip(values, sums, strict=True)
            ]
            sums[:] = [total >> 1 if self.memory else 0 for total in sums]


class Layer:
    """A layer that learns, of one tile; group: of an entropy model, or 0."""

    def __init__(self, model, name, rate, adaptation):
        (_, self.rows, self.columns), self.flat = model.tensors[f"{name}.weight"]
        self.bias, self.shift = model.tensors[f"{name}.bias"][1], model.tensors[f"{name}.shift"][1]
        least, memory = 64 * adaptation["every"], adaptation.get("memory", 0)
        self.changes = Corrections(self.rows, self.columns + 1, rate, 1023, least, memory)

    def weight(self, group, o):
        row = (group * self.rows + o) * self.columns
        return self.flat[row : row + self.columns]

    def answer(self, group, x):
        out = []
        for o, changes in enumerate(self.changes.values):
            shift = self.shift[group * self.rows + o]
            total = 32 * self.bias[group * self.rows + o] + (1 << (shift + 4))
            total += 32 * dot(self.weight(group, o), x) + dot(changes, [*x, 128])
            out.append(clamp(total >> (shift + 5), -2047, 2047))
        return out


def through(model, name, group, gradient, count, b, shift):
    """Gradients of the first `count` inputs of a layer from those of its first outputs."""
    (_, rows, columns), weight = model.tensors[f"{name}.weight"]
    shifts = model.tensors[f"{name}.shift"][1]
    sums = [1 << (shift - 1)] * count
    for o, slope in enumerate(gradient):
        at = group * rows + o
        own = weight[at * columns : at * columns + count]
        sums = [s + slope * back(v, b - shifts[at]) for s, v in zip(sums, own, strict=True)]
    return [clamp(s >> shift, -2047, 2047) for s in sums]


def back(v, b):
    return clamp(v << b if b >= 0 else (v + (1 << (-b - 1))) >> -b, -127, 127)


def leaky(gradient, outputs):
    found = []
    for v, y in zip(gradient, outputs, strict=True):
        whole = clamp(v, -511, 511)
        found.append(whole if y >= 0 else (whole + 3 + ((whole >> 3) & 1)) >> 3)
    return found


class Learner:
    """What a tile has learnt; layers: those that learn beside the output layers, by name."""

    def __init__(self, model):
        p, adaptation = model.profile, model.profile["adaptation"]
        self.model, self.every, self.count = model, adaptation["every"], 0
        self.means = adaptation.get("means", 0)
        size = 3 * p["mixtures"], p["hidden"] + 1
        self.corrections = [Corrections(*size, adaptation["rate"], 2047) for _ in range(3)]
        rates = {"fusion": adaptation.get("fusion_rate", 0)}
        rates |= {f"hidden_{c}": adaptation.get("hidden_rate", 0) for c in "rgb"}
        self.layers = {n: Layer(model, n, rate, adaptation) for n, rate in rates.items()}
        if not any(rates.values()):
            self.layers = {}

    def correct(self, c, hidden, outputs):
        x = [*hidden, 128]
        own = self.corrections[c].values
        moves = [clamp((dot(t, x) + 2048) >> 12, -2047, 2047) for t in own]
        tuned = [clamp(y + move, -2047, 2047) for y, move in zip(outputs, moves, strict=False)]
        return tuned + outputs[len(moves) :]

    def note(self, pixel, values):
        """Of a pixel that is known now."""
        fused = [0] * len(pixel.features)
        for c, (seen, hidden, parts) in pixel.heard.items():
            found = slopes(self.model, parts, values[c])
            self.corrections[c].note(found, hidden)
            if self.layers:
                mean_terms = pixel.mean_terms(c, values) if self.means else []
                gradient = gradients(self.model, parts, found, pixel.gain(c), mean_terms)
                added = self.note_hidden(pixel, c, seen, hidden, gradient)
                fused = [a + b for a, b in zip(fused, added, strict=True)]
        if self.layers:
            self.layers["fusion"].changes.note(leaky(fused, pixel.features), pixel.context)

    def note_hidden(self, pixel, c, seen, hidden, gradient):
        """Returns what the channel adds to the gradients of fused features."""
        name, label = "rgb"[c], pixel.label
        own = through(self.model, f"output_{name}", label, gradient, len(hidden), 7, 5)
        own = leaky(own, hidden)
        self.layers[f"hidden_{name}"].changes.note(own, seen)
        return through(self.model, f"hidden_{name}", label, own, len(pixel.features), 6, 6)

    def end_step(self, pixels):
        self.count += pixels
        if self.count < self.every:
            return
        self.count = 0
        for corrections in (*self.corrections, *(a.changes for a in self.layers.values())):
            corrections.move()


def slopes(model, parts, v):
    """Of pi, mu and scale of each component, given the value."""
    nodes, reach = model.table("logistic"), model.table("reach")
    found = []
    for weight, mean, i in parts:

        def at(b, mean=mean, i=i):
            d = clamp(64 * b - 32 - mean, -reach[i], reach[i])
            away = clamp((d * model.table("inverse_scale")[i]) >> 10, -32768, 32767)
            n, rest = (away + 32768) >> 7, (away + 32768) & 127
            return away, nodes[n] + (((nodes[n + 1] - nodes[n]) * rest) >> 7)

        (start, low), (end, high) = at(v), at(v + 1)
        low, high = 0 if v == 0 else low, 32768 if v == 255 else high
        slants = [(a * ((s * (32768 - s)) >> 15)) >> 11 for a, s in ((start, low), (end, high))]
        mass, spread = (weight * (high - low)) >> 5, (weight * (slants[1] - slants[0])) >> 5
        found.append((weight, mass, spread, low + high))
    r, w = 1 + sum(mass for _, mass, _, _ in found), sum(weight for weight, _, _, _ in found)
    pi = [(1024 * own // w - 1024 * mass // r + 4) >> 3 for own, mass, _, _ in found]
    mu = [((1024 * mass // r) * (32768 - s) + (1 << 17)) >> 18 for _, mass, _, s in found]
    scale = [(1024 * spread // r + 16) >> 5 for _, _, spread, _ in found]
    return [clamp(slope, -127, 127) for slope in pi + mu + scale]


def gradients(model, parts, found, gain, mean_terms):
    """Of pi, mu and scale, from their slopes, and of gamma and beta if there are mean_terms.

    gain: what mu is multiplied by.
    """
    k, inverse = len(parts), model.table("inverse_scale")
    narrow = [min(inverse[i] >> 5, 32767) for _, _, i in parts]
    steep = [min((v * gain) >> 8, 2047) for v in narrow]
    mu = [(slope * s + 32) >> 6 for slope, s in zip(found[k : 2 * k], steep, strict=True)]
    scale = [(11 * slope + 2) >> 2 for slope in found[2 * k :]]
    pull = clamp((dot(found[k : 2 * k], narrow) + 8) >> 4, -65535, 65535)
    more = [(pull * term + 2048) >> 12 for term in mean_terms]
    return [clamp(z, -511, 511) for z in found[:k] + mu + scale + more]
