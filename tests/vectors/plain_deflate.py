"""Deflate streams from their recipes, in plain Python, from FORMAT-DEFLATE.md alone."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

SETTINGS = ["method", "keys", "hash_bits", "good", "lazy", "nice", "chain", "least", "too_far"]
SETTINGS += ["far", "first", "buffer", "fresh", "perfect"]
BOUNDS = (
    (0, 3), (0, 2), (8, 16), (0, 512), (0, 512), (3, 512), (1, 32768), (3, 258), (0, 32768),
    (1, 32768), (0, 1), (2, 1 << 31), (0, 1), (0, 1),
)  # fmt: skip
LITERALS, DISTANCES, END = 286, 30, 256
ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
FIXED = [8] * 144 + [9] * 112 + [7] * 24 + [8] * 8
Token = tuple[int, int]  # length and distance; (0, 0) is a literal
LITERAL = (0, 0)


def length_symbols() -> list[tuple[int, int]]:
    """The least length and the extra bits of each symbol from 257 on."""
    symbols, base = [], 3
    for i in range(28):
        extra = max(0, i // 4 - 1)
        symbols.append((base, extra))
        base += 1 << extra
    return [*symbols, (258, 0)]


def distance_symbols() -> list[tuple[int, int]]:
    symbols, base = [], 1
    for i in range(30):
        extra = max(0, i // 2 - 1)
        symbols.append((base, extra))
        base += 1 << extra
    return symbols


LENGTH, DISTANCE = length_symbols(), distance_symbols()


def symbol_of(value: int, symbols: list[tuple[int, int]]) -> int:
    return max(i for i, (base, _) in enumerate(symbols) if base <= value)


class Coder:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.low, self.high, self.code = 0, (1 << 32) - 1, 0
        for _ in range(4):
            self.shift()
        self.slots: dict[object, list[int]] = {}

    def shift(self) -> None:
        byte = self.data[self.at] if self.at < len(self.data) else 0
        self.at += 1
        self.code = (self.code << 8 | byte) & 0xFFFFFFFF

    def bit(self, *name: object) -> int:
        slot = self.slots.setdefault(name, [1 << 21, 0])
        p = min(max(slot[0], 32), (1 << 22) - 32)
        middle = self.low + ((self.high - self.low) * p >> 22)
        bit = self.code <= middle
        if bit:
            self.high = middle
            slot[0] += ((1 << 22) - slot[0]) // (slot[1] + 2)
        else:
            self.low = middle + 1
            slot[0] -= slot[0] // (slot[1] + 2)
        slot[1] = min(slot[1] + 1, 126)
        while self.low >> 24 == self.high >> 24:
            self.low = self.low << 8 & 0xFFFFFFFF
            self.high = self.high << 8 & 0xFFFFFFFF | 255
            self.shift()
        return int(bit)

    def number(self, *name: object) -> int:
        size = 0
        while size < 31 and self.bit(*name, "more", size):
            size += 1
        value = (1 << size) - 1
        for j in reversed(range(size)):
            value += self.bit(*name, "low", size, j) << j
        return value

    def bits(self, count: int, name: str) -> int:
        return sum(self.bit(name, i) << i for i in reversed(range(count)))


class Bits:
    def __init__(self) -> None:
        self.out, self.value, self.count = bytearray(), 0, 0

    def put(self, value: int, count: int) -> None:
        self.value |= value << self.count
        self.count += count
        while self.count >= 8:
            self.out.append(self.value & 255)
            self.value >>= 8
            self.count -= 8

    def pad(self, value: int) -> None:
        free = -self.count % 8
        self.put(value & ((1 << free) - 1), free)


@dataclass
class Predictor:
    data: bytes
    method: int
    keys: int
    hash_bits: int
    good: int
    lazy: int
    nice: int
    chain: int
    least: int
    too_far: int
    far: int
    first: int
    carried: tuple[int, Token] | None = None
    best: Token | None = None
    chains: dict[object, list[int]] = field(default_factory=lambda: defaultdict(list))
    put_in: int = 0

    def key(self, q: int) -> object:
        part = self.data[q : q + (4 if self.keys == 2 else 3)]
        if len(part) < (4 if self.keys == 2 else 3):
            return None
        if self.keys:
            return part
        s = (self.hash_bits + 2) // 3
        return (part[0] << 2 * s ^ part[1] << s ^ part[2]) % (1 << self.hash_bits)

    def insert(self, end: int) -> None:
        while self.put_in < end:
            key = self.key(self.put_in)
            if key is not None and self.method >= 2:
                self.chains[key].append(self.put_in)
            self.put_in += 1

    def chain_of(self, q: int) -> list[int]:
        key = self.key(q)
        if key is None or self.method < 2:
            return []
        found = []
        for position in reversed(self.chains.get(key, [])):
            if q - position > 32768 or len(found) == max(4096, self.chain):
                break
            if position < q:
                found.append(position)
        return found

    def common(self, a: int, b: int, most: int) -> int:
        n = 0
        while n < most and self.data[a + n] == self.data[b + n]:
            n += 1
        return n

    def search(self, q: int, shortest: int) -> Token | None:
        most = min(258, len(self.data) - q)
        steps = max(1, self.chain // 4) if shortest >= self.good else self.chain
        best, distance = shortest, 0
        if shortest >= most:
            return None
        for i, position in enumerate(self.chain_of(q)[:steps]):
            if q - position > self.far - (i > 0) or position < self.first:
                break
            length = self.common(position, q, most)
            if length > best:
                best, distance = length, q - position
                if length >= min(self.nice, most):
                    break
        if not distance or best < self.least or (best == 3 and distance > self.too_far):
            return None
        return best, distance

    def predict(self, p: int) -> Token:
        left, self.best = len(self.data) - p, None
        carried, self.carried = self.carried, None
        if left < 3 or self.method == 0:
            return LITERAL
        if self.method == 1:
            run = self.common(p, p - 1, min(258, left)) if p else 0
            self.best = (run, 1) if run >= 3 else None
            return self.best or LITERAL
        here = self.best = carried[1] if carried and carried[0] == p else self.search(p, 2)
        if self.method == 2 or not here:
            return here or LITERAL
        if here[0] >= self.lazy or left < 4:
            return here
        self.insert(p + 1)
        later = self.search(p + 1, here[0])
        if not later:
            return here
        self.carried = p + 1, later
        return LITERAL

    def advance(self, p: int, token: Token) -> int:
        length = token[0] or 1
        if token[0]:
            self.carried = None
        if self.method == 2 and token[0] > self.lazy:
            self.insert(p + 1)
            self.put_in = p + length
        self.insert(p + length)
        return p + length


class Heap:
    """The nodes of a code in their array, from index 1 on."""

    def __init__(self, counts: list[int]) -> None:
        self.count: dict[int, int] = dict(enumerate(counts))
        self.depth: defaultdict[int, int] = defaultdict(int)
        self.array = [-1, *(s for s, n in enumerate(counts) if n)]
        while len(self.array) < 3:
            last = max(self.array)
            self.array.append(last + 1 if last < 2 else 0)
            self.count[self.array[-1]] = 1
        for k in reversed(range(1, (len(self.array) - 1) // 2 + 1)):
            self.sift(k)

    def before(self, a: int, b: int) -> bool:
        return (self.count[a], self.depth[a]) <= (self.count[b], self.depth[b])

    def sift(self, k: int) -> None:
        array, v = self.array, self.array[k]
        while 2 * k < len(array):
            j = 2 * k
            if j + 1 < len(array) and self.before(array[j + 1], array[j]):
                j += 1
            if self.before(v, array[j]):
                break
            array[k] = array[j]
            k = j
        array[k] = v

    def join(self, node: int) -> tuple[int, int]:
        """Put a new node in place of the two that come first."""
        x = self.array[1]
        self.array[1] = self.array[-1]
        self.array.pop()
        self.sift(1)
        y = self.array[1]
        self.count[node] = self.count[x] + self.count[y]
        self.depth[node] = max(self.depth[x], self.depth[y]) + 1
        self.array[1] = node
        self.sift(1)
        return x, y


def build(counts: list[int], most: int) -> list[int]:
    """Lengths of codes for symbols with these counts."""
    heap = Heap(counts)
    listed: list[int] = []
    parent: dict[int, int] = {}
    while len(heap.array) > 2:
        node = len(counts) + len(listed) // 2
        x, y = heap.join(node)
        parent[x] = parent[y] = node
        listed += [x, y]
    lengths, over = {heap.array[1]: 0}, 0
    for node in reversed(listed):
        lengths[node] = lengths[parent[node]] + 1
        if lengths[node] > most:
            lengths[node] = most
            over += 1
    found = [lengths.get(s, 0) for s in range(len(counts))]
    if over:
        given = shortened([found.count(n) if n else 0 for n in range(most + 1)], over)
        symbols = [node for node in listed if node < len(counts)]
        for symbol, length in zip(symbols, given, strict=True):
            found[symbol] = length
    return found


def shortened(number: list[int], over: int) -> list[int]:
    """Lengths from the largest down, from how many symbols have each of them."""
    most = len(number) - 1
    while over > 0:
        i = max(n for n in range(most) if number[n])
        number[i] -= 1
        number[i + 1] += 2
        number[most] -= 1
        over -= 2
    return [n for n in reversed(range(most + 1)) for _ in range(number[n])]


def codes(lengths: list[int]) -> dict[int, tuple[int, int]]:
    """Bits of each symbol's code as they are written, and how many."""
    found, code = {}, 0
    for length in range(1, 16):
        for symbol, n in enumerate(lengths):
            if n == length:
                found[symbol] = int(f"{code % (1 << n):0{n}b}"[::-1], 2), n
                code += 1
        code <<= 1
    return found


def used(lengths: list[int], least: int) -> int:
    return max(least, *(i + 1 for i, n in enumerate(lengths) if n), 0)


def hclen(lengths: list[int]) -> int:
    return used([lengths[s] for s in ORDER], 4)


def predicted_step(lengths: list[int], i: int, start: int, end: int) -> Token:
    """Symbol, and for how many lengths it stands."""
    run = 1
    while i + run < end and lengths[i + run] == lengths[i]:
        run += 1
    if lengths[i] == 0 and run >= 3:
        return (17 if run <= 10 else 18), min(run, 138)
    if lengths[i] and i > start and lengths[i - 1] == lengths[i] and run >= 3:
        return 16, min(run, 6)
    return lengths[i], 1


def extra_bits(symbol: int) -> int:
    return {16: 2, 17: 3, 18: 7}.get(symbol, 0)


def step_counts(steps: list[Token]) -> list[int]:
    return [sum(symbol == s for symbol, _ in steps) for s in range(19)]


class Rebuilder:
    def __init__(self, content: bytes, recipe: bytes) -> None:
        values, at = [], 0
        for low, high in BOUNDS:
            value = shift = 0
            while True:
                byte = recipe[at]
                at += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            assert low <= value <= high
            values.append(value)
        settings = dict(zip(SETTINGS, values, strict=True))
        self.buffer, self.fresh = settings.pop("buffer"), settings.pop("fresh")
        self.perfect = settings.pop("perfect")
        self.predictor = Predictor(content, **settings)
        self.coder, self.out = Coder(recipe[at:]), Bits()
        self.data, self.n, self.p = content, len(content), 0
        self.kind, self.size, self.whole, self.history = 2, 65535, 0, 0

    def stream(self) -> bytes:
        final = blocks = 0
        while not final:
            blocks += 1
            assert blocks <= self.n // 64 + 4096
            stored = self.coder.bit("stored", self.kind)
            final = self.stored() if stored else self.coded()
        self.out.pad(self.padding())
        assert len(self.out.out) <= 2 * self.n + 65536
        return bytes(self.out.out)

    def padding(self) -> int:
        return self.coder.bits(7, "padding") if self.coder.bit("padded") else 0

    def final(self, full: bool) -> int:
        return self.coder.bit("final", int(full)) if self.p == self.n else 0

    def stored(self) -> int:
        start, left = self.p, self.n - self.p
        if self.coder.bit("as_predicted", self.kind == 0):
            count = 0
            while count < self.buffer - 1 and self.p < self.n and self.p - start < 65536:
                self.p = self.predictor.advance(self.p, self.predictor.predict(self.p))
                count += 1
            size = self.p - start
        else:
            size = min(self.size, left)
            if not self.coder.bit("as_before", self.kind == 0):
                self.size = size = self.coder.number("stored_size")
            self.predictor.carried = None
            self.p += size
            assert self.p <= self.n
            self.predictor.insert(self.p)
        assert size <= 65535
        if size == 0 and self.fresh:
            self.predictor.first = self.p
        final = self.final(False)
        padding = self.padding()
        self.out.put(final, 3)
        self.out.pad(padding)
        self.out.put(size | (size ^ 0xFFFF) << 16, 32)
        self.out.out += self.data[start : self.p]
        self.kind = 0
        return final

    def coded(self) -> int:
        self.whole = self.coder.bit("whole", self.whole)
        count = self.buffer - 1
        if not self.whole:
            count = self.coder.number("tokens")
            assert count <= self.n - self.p
        tokens: list[tuple[int, Token]] = []
        while len(tokens) < count:
            if self.p == self.n:
                assert self.whole
                break
            token = self.token()
            tokens.append((self.p, token))
            self.p = self.predictor.advance(self.p, token)
        literals, distances = [0] * LITERALS, [0] * DISTANCES
        literals[END] = 1
        for position, (length, distance) in tokens:
            if length:
                literals[257 + symbol_of(length, LENGTH)] += 1
                distances[symbol_of(distance, DISTANCE)] += 1
            else:
                literals[self.data[position]] += 1
        final = self.final(len(tokens) == self.buffer - 1)
        trees = Trees(literals, distances)
        fixed = self.coder.bit("fixed", int(trees.rather_fixed(literals, distances)), self.kind)
        self.out.put(final | (1 if fixed else 2) << 1, 3)
        by_literal, by_distance = codes(FIXED), codes([5] * 30)
        if not fixed:
            trees.read(self.coder)
            trees.write(self.out)
            by_literal, by_distance = codes(trees.lengths[0]), codes(trees.lengths[1])
        for position, (length, distance) in tokens:
            if not length:
                self.out.put(*by_literal[self.data[position]])
                continue
            for value, table, code, first in (
                (length, LENGTH, by_literal, 257),
                (distance, DISTANCE, by_distance, 0),
            ):
                symbol = symbol_of(value, table)
                self.out.put(*code[first + symbol])
                self.out.put(value - table[symbol][0], table[symbol][1])
        self.out.put(*by_literal[END])
        self.kind = 1 if fixed else 2
        return final

    def token(self) -> Token:
        guess = self.predictor.predict(self.p)
        best = self.predictor.best
        if self.n - self.p < 3:
            return LITERAL
        if self.perfect:
            return guess
        if not guess[0]:
            c = 2 if best is None else int(best[0] > 5)
        else:
            length = guess[0]
            bounds = (6, 8, 12, 24, 64, 258)
            c = length if length < 6 else 5 + sum(length >= bound for bound in bounds)
        far = best[1] if best else 0
        d = sum(far > bound for bound in (64, 1024, 8192))
        right = self.coder.bit("right", c, d, self.history % 8)
        self.history = self.history << 1 | right
        if right:
            return guess
        if guess[0] and not self.coder.bit("match", c, self.history // 2 % 4):
            return LITERAL
        length = self.length(c, best[0] if best else 0)
        assert 3 <= length <= min(258, self.n - self.p)
        distance = self.distance(length)
        assert distance <= self.p
        return length, distance

    def length(self, c: int, best: int) -> int:
        if not best:
            return 3 + self.coder.number("length_free")
        if self.coder.bit("same_length", c):
            return best
        shorter = best == 258
        if best not in (3, 258):
            shorter = self.coder.bit("shorter", c)
        if shorter:
            return best - 1 - self.coder.number("length_below")
        return best + 1 + self.coder.number("length_above")

    def distance(self, length: int) -> int:
        chain = self.predictor.chain_of(self.p)
        if not self.coder.bit("near", int(length > 3), int(bool(chain))):
            return 1 + self.coder.bits(15, "distance")
        k = 0 if length == 3 else 1 if length < 7 else 2
        hops = self.coder.number("hops", k)
        matches = [q for q in chain[:4096] if self.predictor.common(q, self.p, length) == length]
        return self.p - matches[hops]


class Trees:
    """Of a dynamic block: predicted, then read."""

    def __init__(self, literals: list[int], distances: list[int]) -> None:
        self.lengths = [build(literals, 15), build(distances, 15)]
        self.hlit, self.hdist = used(self.lengths[0], 257), used(self.lengths[1], 1)
        self.steps: list[Token] = []
        self.walk(lambda step, _: step)
        self.step_lengths = build(step_counts(self.steps), 7)
        self.hclen = hclen(self.step_lengths)

    def walk(self, choose: Callable[[Token, int], Token]) -> None:
        """All steps, each as `choose` says of the predicted one and the length there."""
        all_lengths = self.lengths[0][: self.hlit] + self.lengths[1][: self.hdist]
        self.steps, i = [], 0
        while i < len(all_lengths):
            start, end = (0, self.hlit) if i < self.hlit else (self.hlit, len(all_lengths))
            step = choose(predicted_step(all_lengths, i, start, end), all_lengths[i])
            said = all_lengths[i - 1] if step[0] == 16 else 0 if step[0] > 16 else step[0]
            assert all_lengths[i : i + step[1]] == [said] * step[1]
            assert step[0] != 16 or (i and step[1] <= 6)
            self.steps.append(step)
            i += step[1]

    def rather_fixed(self, literals: list[int], distances: list[int]) -> bool:
        extra = [0] * 257 + [bits for _, bits in LENGTH]
        fixed = sum(n * (FIXED[s] + extra[s]) for s, n in enumerate(literals))
        dynamic = sum(n * (self.lengths[0][s] + extra[s]) for s, n in enumerate(literals))
        for s, n in enumerate(distances):
            fixed += n * (5 + DISTANCE[s][1])
            dynamic += n * (self.lengths[1][s] + DISTANCE[s][1])
        dynamic += 14 + 3 * self.hclen
        dynamic += sum(self.step_lengths[s] + extra_bits(s) for s, _ in self.steps)
        return (fixed + 10) // 8 <= (dynamic + 10) // 8

    def read(self, coder: Coder) -> None:
        for k in range(2):
            self.lengths[k] = self.code(coder, self.lengths[k], k, 15)
        self.hlit = self.count(coder, 0, used(self.lengths[0], 257), 286)
        self.hdist = self.count(coder, 1, used(self.lengths[1], 1), 30)
        if coder.bit("steps_right"):
            self.walk(lambda step, _: step)
        else:
            self.walk(lambda step, length: self.step(coder, step, length))
        self.step_lengths = self.code(coder, build(step_counts(self.steps), 7), 2, 7)
        self.hclen = self.count(coder, 2, hclen(self.step_lengths), 19)

    def code(self, coder: Coder, predicted: list[int], k: int, most: int) -> list[int]:
        if coder.bit("lengths_right", k):
            return predicted
        c, e, found = int(k == 2), 1, []
        for g in predicted:
            e = coder.bit("length_right", c, g, e)
            if e:
                found.append(g)
                continue
            longer = g == 0
            if g not in (0, most):
                longer = coder.bit("longer", c, g)
            off = 1 + coder.number("length_off", int(g > 0))
            found.append(g + off if longer else g - off)
            assert 0 <= found[-1] <= most
        return found

    def count(self, coder: Coder, which: int, least: int, most: int) -> int:
        if coder.bit("least", which):
            return least
        count = least + 1 + coder.number("more")
        assert count <= most
        return count

    def step(self, coder: Coder, predicted: Token, length: int) -> Token:
        if coder.bit("step_right", int(predicted[0] >= 16)):
            return predicted
        if not coder.bit("run"):
            return length, 1
        zeros = coder.bit("zeros")
        run = 3 + coder.number("repeat")
        assert run <= 138
        return (16 if not zeros else 17 if run <= 10 else 18), run

    def write(self, out: Bits) -> None:
        out.put(self.hlit - 257, 5)
        out.put(self.hdist - 1, 5)
        out.put(self.hclen - 4, 4)
        for symbol in ORDER[: self.hclen]:
            out.put(self.step_lengths[symbol], 3)
        by_symbol = codes(self.step_lengths)
        for symbol, run in self.steps:
            out.put(*by_symbol[symbol])
            if symbol >= 16:
                out.put(run - (11 if symbol == 18 else 3), extra_bits(symbol))


def rebuild(content: bytes, recipe: bytes) -> bytes:
    """The raw deflate stream."""
    return Rebuilder(content, recipe).stream()
