"""A decoder of coded JPEG coefficients written from FORMAT.md alone, in plain Python.

Slow, and independent: it shares no code with the project.
"""

import json
import struct
from functools import cache
from itertools import pairwise

import zstandard

from tests.vectors import plain_dct_contexts as contexts
from tests.vectors import plain_dct_trunk as trunk
from tests.vectors.plain_dct_contexts import ZIGZAG, clip
from tests.vectors.plain_decoder import crc32c

NODES, LINES, SETS, LANES = 10, 48648, 1066, 16
SET_A, SET_B = 456, 274
FAMILIES = [
    *contexts.VALUE, *contexts.BEHIND_SIGN, *contexts.SIGN,
    *((values, parts) for parts, values in contexts.LAST), *contexts.REST,
]  # fmt: skip
SQUASH_NODES = [
    *(22, 36, 60, 98, 162, 267, 439, 720, 1179, 1921, 3108, 4971, 7812, 11955, 17625, 24743),
    *(32768, 40793, 47911, 53581, 57724, 60565, 62428, 63615, 64357, 64816, 65097, 65269),
    *(65374, 65438, 65476, 65500, 65514),
]


def _squash(x):
    node, part = (x + 2048) >> 7, (x + 2048) & 127
    return (SQUASH_NODES[node] * (128 - part) + SQUASH_NODES[node + 1] * part + 64) >> 7


SQUASH = [_squash(x) for x in range(-2048, 2048)]


def _stretches():
    x, found = -2047, []
    for i in range(4096):
        while x < 2047 and SQUASH[x + 2048] < 16 * i + 8:
            x += 1
        found.append(x)
    return found


STRETCH = _stretches()
RATE = [327680 // (10 * n + 16) for n in range(251)]
CONFIDENCE = [0, 102, *[154] * 3, *[218] * 8, *[256] * 238]


THREE = ("first", "second", "third")
SIX = ("trunk_first", "trunk_second", "share", "head_first", "head_second", "head_third")


class Model:
    """A model file."""

    def __init__(self, payload):
        plain = zstandard.ZstdDecompressor().decompress(payload)
        size = struct.unpack_from("<Q", plain)[0]
        header = json.loads(plain[8 : 8 + size])
        self.learning = json.loads(header.pop("__metadata__")["card"])["learning"]

        def read(name, letter):
            begin, end = header[name]["data_offsets"]
            part = plain[8 + size + begin : 8 + size + end]
            return struct.unpack(f"<{len(part) // struct.calcsize(letter)}{letter}", part)

        self.slots = read_slots(read("predictors", "h"), bytes(read("slots", "B")))
        self.weights, self.linear = [256 * w for w in read("weights", "b")], read("linear", "h")
        self.networks = [
            [self._layer(read, f"{c}.{kind}.{part}") for part in parts]
            for c in ("luma", "chroma")
            for kind in ("last", "dc", "ac")
            for parts in (THREE, SIX)
            if f"{c}.{kind}.{parts[0]}.weight" in header
        ]

    @staticmethod
    def _layer(read, name):
        return read(f"{name}.weight", "b"), read(f"{name}.bias", "i")


@cache
def model_of(payload):
    return Model(payload)


class AdaptiveBits:
    """Bits in contexts: probabilities and counts."""

    def __init__(self, data):
        self.decoder, self.known = Decoder(data), {}

    def read(self, *context):
        one, count = self.known.get(context, (1 << 15, 0))
        bit = self.decoder.bit(clip(one, 32, 65504))
        one += ((65535 * bit - one) * RATE[count]) >> 15
        self.known[context] = one, min(count + 1, 250)
        return bit


def read_slots(predictors, data):
    """Of each class, line and node a number of -16 to 15, or None."""
    bits, slots = AdaptiveBits(data), []
    for _ in range(2):
        for bands, values in FAMILIES:
            start = len(slots)
            for place in range(bands * values):
                band, value = divmod(place, values)
                before = slots[-1] if value else [None] * NODES
                earlier = slots[-2] if value > 1 else [None] * NODES
                slots.append(row := [])
                above = slots[start + place - values] if band else [None] * NODES
                for node in range(NODES):
                    near = [before[node], above[node]]
                    near += [row[-1], before[node - 1], above[node - 1]] if node else [None] * 3
                    row.append(read_slot(bits, predictors, [*near, earlier[node]], node))
    return [slot for row in slots for slot in row]


def read_slot(bits, predictors, near, node):
    used = [n is not None for n in near]
    pattern = used[0] + 2 * used[1] + 4 * used[2]
    if not bits.read("used", node, pattern + 8 * used[5]):
        return None
    row = predictors[6 * (8 * node + pattern) :]
    total = sum((n or 0) * w for n, w in zip(near, row, strict=False))
    known, size = sum(used[:3]), 0
    if bits.read("zero", node, known):
        negative = bits.read("sign", node, known)
        size = 1
        while size < 32 and bits.read("more", node, known, min(size, 12)):
            size += 1
        size = -size if negative else size
    return clip(clip((total + 128) >> 8, -16, 15) + size, -16, 15)


def run_network(layers, features, position):
    return [clip(s >> 3, -2047, 2047) for s in run_layers(layers, features, position)]


def run_layers(layers, features, position):
    """Sums of the last layer."""
    values, sums = features, []
    for weight, bias in layers:
        outputs = len(weight) // len(values)
        first = position * outputs if len(bias) > outputs else 0
        sums = [
            bias[first + o]
            + sum(w * v for w, v in zip(weight[o * len(values) :], values, strict=False))
            for o in range(outputs)
        ]
        values = [clip(s >> 7, 0, 255) for s in sums]
    return sums


def give_networks(block, networks):
    """Let a block run them."""

    def run_trunk(last):
        sums = run_layers(networks[2][:3], trunk.trunk_bytes(block, last), 0)
        block.shared = [clip(s >> 7, 0, 255) for s in sums]

    def run(kind, features, k):
        if kind < 2 or not with_trunk:
            return run_network(networks[kind], features, k)
        shared = block.shared[16 * k : 16 * k + 16]
        seen = [*features, *trunk.head_bytes(block, k), *shared, *trunk.own_bytes(block, k)]
        return run_network(networks[2][3:], seen, k)

    with_trunk = len(networks[2]) == 6
    block.run, block.run_trunk = run, run_trunk if with_trunk else None


class Decoder:
    """Of binary decisions."""

    def __init__(self, data):
        self.data, self.at = data, 4
        self.low, self.high = 0, 0xFFFFFFFF
        self.point = int.from_bytes(data[:4].ljust(4, b"\0"), "big")

    def bit(self, one):
        split = self.low + ((self.high - self.low) * one >> 16)
        bit = self.point <= split
        if bit:
            self.high = split
        else:
            self.low = split + 1
        while self.low >> 24 == self.high >> 24:
            byte = self.data[self.at] if self.at < len(self.data) else 0
            self.at += 1
            self.low = self.low << 8 & 0xFFFFFFFF
            self.high = self.high << 8 & 0xFFFFFFFF | 255
            self.point = self.point << 8 & 0xFFFFFFFF | byte
        return int(bit)


class State:
    """What adapts within a group: counters and mixing weights of luma and of chroma."""

    def __init__(self, model, data):
        self.learning, self.decoder = model.learning, Decoder(data)
        self.one = [1 << 15 if s is None else SQUASH[128 * s + 2048] for s in model.slots]
        self.count = [0 if s is None else 30 for s in model.slots]
        self.weights = [
            list(model.weights[i : i + LANES]) for i in range(0, len(model.weights), LANES)
        ]

    def decide(self, chroma, lines, node, network, sets):
        """One decision: in these lines of counters, with these three sets of weights."""
        places = [(chroma * LINES + line) * NODES + node for line in lines]
        x = [STRETCH[self.one[p] >> 4] * CONFIDENCE[self.count[p]] >> 8 for p in places]
        x += [0] * (LANES - 2 - len(x)) + [network, 256]
        chosen = [
            self.weights[chroma * SETS + start + s]
            for start, s in zip((0, SET_A, SET_A + SET_B), sets, strict=True)
        ]
        outputs = [
            clip(sum(a * b for a, b in zip(x, w, strict=True)) >> 14, -2047, 2047) for w in chosen
        ]
        bit = self.decoder.bit(SQUASH[(sum(outputs) * 21846 >> 16) + 2048])
        for w, output in zip(chosen, outputs, strict=True):
            error = ((bit << 16) - SQUASH[output + 2048]) >> self.learning
            w[:] = [
                clip(a + ((v * error + 0x4000) >> 15), -32768, 32767)
                for a, v in zip(w, x, strict=True)
            ]
        for p in places:
            self.one[p] += ((65535 * bit - self.one[p]) * RATE[self.count[p]]) >> 15
            self.count[p] = min(self.count[p] + 1, 250)
        return bit


LEAST = [1, 2, 3, 4, 5] + [3 + (1 << i) for i in range(2, 17)]
EXTRA = [0] * 4 + list(range(1, 16))


def decode_value(state, chroma, v):
    """v: what contexts.ac or contexts.dc prepared."""
    k, by = v.position, v
    if not v.known and not state.decide(
        chroma, v.value, 0, v.network[0], (k, by.expected, by.inside)
    ):
        return 0
    sets = (320 + k, 185 + by.edge, 240 + by.inside % 12)
    negative = state.decide(chroma, v.sign, 0, v.network[10], sets)
    towards = -v.prediction if negative else v.prediction
    lines = v.value + contexts.behind_sign(k, towards, v.scale)
    j = 0
    while j < 18:
        kind, node = 1 + min(j, 3), min(j + 1, 9)
        sets = (64 * kind + k, 37 * kind + by.expected, 48 * kind + by.inside)
        if not state.decide(chroma, lines, node, v.network[node + 10 * negative], sets):
            break
        j += 1
    rest, node = 0, 1
    for i in range(EXTRA[j] - 1, -1, -1):
        middle = LEAST[j] + (rest << (i + 1)) + (1 << i)
        beyond = clip(((towards >> 4) - middle) * 32, -(1 << 20), 1 << 20) >> i
        lines = contexts.rest(k, j, i, towards, beyond)
        sets = (448 + min(i, 7), 262 + min(j, 11), 324 + contexts.BAND12[k])
        told = v.network[16 + j + 5 * negative] if node == 1 and j < 9 else 0
        bit = state.decide(chroma, lines, node - 1 if node < 8 else 7, told, sets)
        rest, node = 2 * rest + bit, min(2 * node + bit, 8)
    return -(LEAST[j] + rest) if negative else LEAST[j] + rest


def decode_last(state, chroma, last):
    """last: what contexts.last prepared."""
    node = 1
    for b in range(5, -1, -1):
        part = 0 if b > 2 else 1 + ((node >> (2 - b)) & 7)
        inside = node - 1 if b > 2 else (1 << (2 - b)) - 1 + (node & ((1 << (2 - b)) - 1))
        lines = [line + part for line in last.lines]
        sets = (384 + node, 198 + last.near, 252 + last.activity * 6 + b)
        node = 2 * node + state.decide(chroma, lines, inside, last.network[node - 1], sets)
    return node - 64


def decode_group(model, components, data):
    """components: [(rows, columns, horizontal, vertical, steps)]; returns lists of blocks."""
    state = State(model, data)
    planes = []
    for number, (rows, columns, horizontal, vertical, steps) in enumerate(components):
        plane = contexts.Plane(rows, columns, horizontal, vertical, steps)
        chroma = int(number in (1, 2))
        linear = model.linear[chroma * 2 * 320 * 64 : (chroma + 1) * 2 * 320 * 64]
        networks = model.networks[3 * chroma : 3 * chroma + 3]
        for y in range(rows):
            for x in range(columns):
                block = contexts.Block(plane, planes, number, y, x, linear)
                if networks:
                    give_networks(block, networks)
                last = decode_last(state, chroma, block.prepare_last())
                block.start(last)
                for k in range(last, 0, -1):
                    block.add(ZIGZAG[k], decode_value(state, chroma, block.prepare_ac(k)))
                dc = block.prepare_dc()
                rest = decode_value(state, chroma, dc)
                block.finish(dc.base + rest, rest)
        planes.append(plane)
    return [plane.blocks for plane in planes]


def number_at(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def spans(components):
    """Rows of MCUs of each group; components: [(rows, columns, horizontal, vertical, steps)]."""
    mcus = max(-(-rows // vertical) for rows, _, _, vertical, _ in components)
    widest = max(columns * vertical for _, columns, _, vertical, _ in components)
    count = max(1, (2 * mcus // -(-24576 // widest) + 1) // 2)
    bounds = [mcus * i // count for i in range(count + 1)]
    return list(pairwise(bounds))


def decode(data, payload, read_recipes, components_of):
    """A coded file: [(position, recipe, blocks of each component)], the file itself first.

    read_recipes: undoes their compression. components_of: gives [(rows, columns, horizontal,
    vertical, steps)] for a recipe. Blocks are row after row, as lists of 64.
    """
    model = model_of(payload)
    count, at = number_at(data, 12)
    position, places = 0, []
    for _ in range(count):
        distance, at = number_at(data, at)
        size, at = number_at(data, at)
        position += distance
        places.append((position, size))
    size, at = number_at(data, at)
    recipes = read_recipes(data[at : at + size])
    at += size
    pictures = []
    for position, size in places:
        pictures.append((position, recipes[:size]))
        recipes = recipes[size:]
    pictures.insert(0, (0, recipes))
    groups = []
    for number, (_, recipe) in enumerate(pictures):
        components = components_of(recipe)
        for first, end in spans(components):
            size, at = number_at(data, at)
            parts = [
                (min(end * v, rows) - min(first * v, rows), columns, h, v, steps)
                for rows, columns, h, v, steps in components
            ]
            groups.append((number, parts, size, struct.unpack_from("<I", data, at)[0]))
            at += 4
    assert struct.unpack_from("<I", data, 8)[0] == crc32c(data[12:at])
    found = [[[] for _ in components_of(recipe)] for _, recipe in pictures]
    for number, parts, size, crc in groups:
        coded = data[at : at + size]
        at += size
        assert crc32c(coded) == crc
        for all_blocks, more in zip(found[number], decode_group(model, parts, coded), strict=True):
            all_blocks += more
    assert at == len(data)
    return [(*picture, blocks) for picture, blocks in zip(pictures, found, strict=True)]
