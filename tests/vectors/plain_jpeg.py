"""JPEG files from coefficients and recipe, as FORMAT.md states it: part of the plain decoder."""

import struct

LUMA = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 "
    "80 62 18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 "
    "92 95 98 112 100 103 99 "
)
CHROMA = (
    "17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 "
    "99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 "
    "99 99 99 99 "
)
SMOOTH = (
    "16 16 16 18 25 37 56 85 16 17 20 27 34 40 53 75 16 20 24 31 43 62 91 135 18 27 31 40 53 74 "
    "106 156 25 34 43 53 69 94 131 189 37 40 62 74 94 124 169 238 56 53 91 106 131 169 226 311 "
    "85 75 135 156 189 238 311 418 "
)
BASES = (LUMA, CHROMA, SMOOTH)
AC_LUMA = (
    "010203000411051221314106135161072271143281"
    "91a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738393a434445464748494a"
    "535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4"
    "a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1"
    "f2f3f4f5f6f7f8f9fa"
)
AC_CHROMA = (
    "0001020311040521310612415107617113223281081442"
    "91a1b1c109233352f0156272d10a162434e125f11718191a262728292a35363738393a434445464748494a53"
    "5455565758595a636465666768696a737475767778797a82838485868788898a92939495969798999aa2a3a4"
    "a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3"
    "f4f5f6f7f8f9fa"
)
DC = "000102030405060708090a0b"
ANNEX_K = {
    (0, 0): "00010501010101010100000000000000" + DC,
    (0, 1): "00030101010101010101010000000000" + DC,
    (1, 0): "0002010303020403050504040000017d" + AC_LUMA,
    (1, 1): "00020102040403040705040400010277" + AC_CHROMA,
}
FRAMES = (
    "011100 012200021101031101 012100021101031101 011100021101031101 011200021101031101 "
    "014100021101031101 012200021102031102 012100021102031102 521100471100421100 "
    "4311004d11005911004b1100 012200021101031101042200 011100021101031101041100 "
    "001100011101021101 002200011101021101 002100011101021101 012100 012200 "
)
FIXED = {0: 1, 1: 2, 2: 1, 3: 4, 4: 1, 5: 1, 6: 4}


def zigzag_order():
    order = sorted(
        ((y + x, x if (y + x) % 2 else -x, 8 * y + x) for y in range(8) for x in range(8)),
        key=lambda place: (place[0], -place[1]),
    )
    return [place[2] for place in order]


ZIGZAG = zigzag_order()


def read_template_table(text):
    """Rows of the table of templates in FORMAT.md: number, items as lists of numbers or None."""
    templates = {0: []}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 2 or not cells[0].isdigit() or "?" not in cells[1]:
            continue
        row = cells[1].replace("LC", "7 2 8 ? 21").replace("L,", "7 1 8 ?,")
        items = [item.split() for item in row.replace("C,", "7 1 21,").split(",")]
        middle = [[None if n == "?" else int(n) for n in item] for item in items]
        templates[int(cells[0])] = [[2, 216], [3, 1, 0, 1, 1], *middle, [2, 217]]
    return templates


class Numbers:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self):
        value, shift = 0, 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def take(self, n):
        self.at += n
        return self.data[self.at - n : self.at]

    def item(self):
        kind = self.number()
        if kind in FIXED:
            return [kind, *(self.number() for _ in range(FIXED[kind]))]
        count = self.number()
        item = [kind, count]
        for _ in range(count):
            item.append(self.number())
            if kind == 9 or (kind == 7 and item[-1] // 4 in (2, 3, 4)):
                item.append(self.number())
        return item + ([self.number() for _ in range(3)] if kind == 9 else [])

    def items(self, templates):
        rest = templates[self.number()]
        items = []
        for _ in range(self.number()):
            kept, gone, new = self.number(), self.number(), self.number()
            items += rest[:kept] + [self.item() for _ in range(new)]
            rest = rest[kept + gone :]
        items += rest
        return [[self.number() if n is None else n for n in item] for item in items]

    def record(self, lists_bits):
        flags = self.number()
        return {
            "mcus": self.number() if flags & 1 else None,
            "restarts": not flags & 2,
            "runs": self.pairs() if flags & 4 else {},
            "zero_runs": self.pairs() if flags & 8 else {},
            "rule": flags >> 4,
            "bits": list(self.take(self.number())) if lists_bits else [],
        }

    def pairs(self):
        pairs, index = {}, 0
        for _ in range(self.number()):
            index += self.number()
            pairs[index] = self.number()
        return pairs


def put_together(recipe, arrays, templates):
    """The file. arrays: of each component, [rows][columns][64], natural order."""
    return read_recipe(recipe, arrays, templates).out


def read_layout(recipe, templates):
    """[(rows, columns, horizontal, vertical, steps)], of blocks, of each component."""
    file = read_recipe(recipe, None, templates)
    width, height = file.frame["width"], file.frame["height"]
    factors = [divmod(part[1], 16) for part in file.frame["parts"]]
    most_h, most_v = (max(of) for of in zip(*factors, strict=True))
    components = []
    for number, (h, v) in enumerate(factors):
        rows, columns = v * -(-height // (8 * most_v)), h * -(-width // (8 * most_h))
        if len(factors) == 1:
            rows, columns = -(-height // 8), -(-width // 8)
        components.append((rows, columns, h, v, file.steps.get(number, [1] * 64)))
    return components


def read_recipe(recipe, arrays, templates):
    """The file as far as is known; without arrays no scan is."""
    numbers = Numbers(recipe)
    items = numbers.items(templates)
    flags = numbers.number()
    fill = (1, 0, None)[flags >> 1 & 3]
    height = numbers.number() if flags & 8 else 0
    scans = sum(item[0] == 9 for item in items)
    plain = {"mcus": None, "restarts": True, "runs": {}, "zero_runs": {}, "rule": 0, "bits": []}
    records = [numbers.record(fill is None) if flags & 1 else plain for _ in range(scans)]
    return File(items, numbers.take(len(recipe) - numbers.at), records, fill, height, arrays)


class File:
    def __init__(self, items, literals, records, fill, height, arrays):
        self.literals, self.fill, self.height, self.arrays = literals, fill, height, arrays
        self.out, self.at, self.scale = b"", 0, 0
        self.frame: dict = {}
        self.tables, self.interval, self.position, self.reads = {}, 0, 0, True
        self.quantisers, self.steps = {}, {}
        pending = []
        records = iter(records)
        for item in items:
            pending.append(item)
            if item[0] == 9:
                self.scan(pending, next(records))
                pending = []
        self.out += self.expanded(pending, None)

    def take(self, n):
        self.at += n
        return self.literals[self.at - n : self.at]

    def scan(self, items, record):
        """The stream to a scan header, and the scan; best tables need the scan, so twice."""
        place = self.at, self.scale, dict(self.tables), self.interval, self.frame
        self.read(self.expanded(items, lambda _: bytes(16)))
        for component in items[-1][2:-3:2]:
            table = self.quantisers.get(self.frame["parts"][component][2])
            if table and component not in self.steps:
                self.steps[component] = [max(step, 1) for step in table]
        if self.arrays is None:
            return
        if record["mcus"] == 0:
            self.at, self.scale, self.tables, self.interval, self.frame = place
            self.read(stream := self.expanded(items, None))
            self.out += stream
            return
        used = any(n // 8 == 2 for item in items if item[0] == 8 for n in item[2:])
        counts = Scan(self, items[-1], record).counts if used else {}
        self.at, self.scale, self.tables, self.interval, self.frame = place
        stream = self.expanded(items, lambda table: best_table(counts.get(table, {})))
        self.read(stream)
        self.out += stream + Scan(self, items[-1], record).bytes()

    def expanded(self, items, best):
        return b"".join(self.expand(item[0], item[1:], best) for item in items)

    def expand(self, kind, n, best):
        if kind < 2:
            content = self.take(n[-1])
            if kind == 1 and 0xC0 <= n[0] <= 0xC2:
                self.name(n[0], content)
            return segment(n[0], content) if kind else content
        if kind == 2:
            return bytes([255, n[0]])
        if kind == 3:
            return segment(0xE0, b"JFIF\0\1" + bytes(n[:2]) + two(n[2]) + two(n[3]) + b"\0\0")
        if kind in (4, 5):
            adobe = b"Adobe\0" + bytes([100, 0, 0, 0, 0, n[0] % 256])
            return segment(0xEE, adobe) if kind == 4 else segment(0xDD, two(n[0]))
        if kind == 6:
            parts = bytes.fromhex(FRAMES.split()[n[1]])
            body = b"\x08" + two(n[3]) + two(n[2]) + bytes([len(parts) // 3]) + parts
            self.name(0xC0 + n[0], body)
            return segment(0xC0 + n[0], body)
        if kind == 7:
            return segment(0xDB, self.quantisation(n[1:]))
        if kind == 8:
            return segment(0xC4, b"".join(self.huffman(number, best) for number in n[1:]))
        pairs = zip(n[1 : 1 + 2 * n[0] : 2], n[2 : 2 + 2 * n[0] : 2], strict=True)
        chosen = [byte for c, t in pairs for byte in (self.frame["parts"][c][0], t)]
        return segment(0xDA, bytes([n[0], *chosen, *n[-3:]]))

    def name(self, marker, body):
        if self.frame:
            return
        parts = [body[i : i + 3] for i in range(6, len(body) - 2, 3)]
        height = int.from_bytes(body[1:3], "big") or self.height
        self.frame = {"progressive": marker == 0xC2, "height": height, "parts": parts}
        self.frame["width"] = int.from_bytes(body[3:5], "big")

    def quantisation(self, numbers):
        body, numbers = b"", list(numbers)
        while numbers:
            k, identifier = divmod(numbers.pop(0), 4)
            if k < 2:
                body += bytes([16 * k + identifier]) + self.take(64 * (k + 1))
                continue
            if k < 5:
                self.scale = numbers.pop(0)
            s = self.scale
            percent = 5000 // s if s < 50 else 200 - 2 * s if s <= 100 else s - 101
            base = [int(e) for e in BASES[1 if k == 5 else k - 2].split()]
            steps = [min(max((e * percent + 50) // 100, 1), 255) for e in base]
            body += bytes([identifier, *(steps[place] for place in ZIGZAG)])
        return body

    def huffman(self, number, best):
        k, (kind, identifier) = number // 8, divmod(number % 8, 4)
        head = bytes([16 * kind + identifier])
        if k == 0:
            counts = self.take(16)
            return head + counts + self.take(sum(counts))
        return head + (bytes.fromhex(ANNEX_K[kind, identifier]) if k == 1 else best(number % 8))

    def read(self, stream):
        """What a part of the header stream sets."""
        at = 0
        while self.reads and at + 1 < len(stream):
            marker = stream[at + 1]
            if stream[at] != 255 or not 0xC0 <= marker <= 0xFE or 0xD0 <= marker <= 0xD8:
                at += 1 + (stream[at] == 255 and 0xD0 <= marker <= 0xD8)
                continue
            size = int.from_bytes(stream[at + 2 : at + 4], "big")
            body = stream[at + 4 : at + 2 + size]
            at += 2 + size
            if 0xC0 <= marker <= 0xC2:
                self.name(marker, body)
            elif marker == 0xDD and len(body) == 2:
                self.interval = int.from_bytes(body, "big")
            while marker == 0xDB and body:
                wide, number = divmod(body[0], 16)
                size = 64 * (wide + 1)
                steps = struct.unpack(">64H" if wide else "64B", body[1 : 1 + size])
                self.quantisers[number] = [
                    step for _, step in sorted(zip(ZIGZAG, steps, strict=True))
                ]
                body = body[1 + size :]
            while marker == 0xC4 and body:
                end = 17 + sum(body[1:17])
                self.tables[body[0] // 16 * 4 + body[0] % 16] = codes(body[1:end])
                body = body[end:]


def two(n):
    return n.to_bytes(2, "big")


def segment(marker, body):
    return bytes([255, marker]) + two(len(body) + 2) + body


def codes(table):
    """Code and length of each symbol; of two codes for one symbol the first."""
    found, code, at = {}, 0, 16
    for size in range(1, 17):
        for _ in range(table[size - 1]):
            found.setdefault(table[at], (code, size))
            code, at = code + 1, at + 1
        code *= 2
    return found


def best_table(counts):
    freq = {**counts, 256: 1}
    size = dict.fromkeys(freq, 0)
    groups = {symbol: [symbol] for symbol in freq}
    while len(freq) > 1:
        first = min(freq, key=lambda s: (freq[s], -s))
        second = min((s for s in freq if s != first), key=lambda s: (freq[s], -s))
        freq[first] += freq.pop(second)
        groups[first] += groups.pop(second)
        for symbol in groups[first]:
            size[symbol] += 1
    bits = [0] * 300
    for symbol in size:
        bits[size[symbol]] += 1
    for i in range(299, 16, -1):
        while bits[i] > 0:
            j = i - 2
            while bits[j] == 0:
                j -= 1
            bits[i], bits[i - 1] = bits[i] - 2, bits[i - 1] + 1
            bits[j + 1], bits[j] = bits[j + 1] + 2, bits[j] - 1
    bits[max(i for i in range(17) if bits[i])] -= 1
    symbols = sorted((s for s in size if s < 256), key=lambda s: (size[s], s))
    return bytes(bits[1:17]) + bytes(symbols)


class Scan:
    """One scan's bits, and how often it codes each symbol."""

    def __init__(self, file, item, record):
        self.frame, self.record, self.fill, self.tables = file.frame, record, file.fill, file.tables
        count = item[1]
        chosen = [(item[2 + 2 * i], *divmod(item[3 + 2 * i], 16)) for i in range(count)]
        self.start, self.end, bits = item[-3:]
        self.high, self.low = divmod(bits, 16)
        if not self.frame["progressive"]:
            self.start, self.end, self.high, self.low = 0, 63, 0, 0
        self.counts, self.bits, self.out, self.listed = {}, [], b"", list(record["bits"])
        self.blocks, self.runs = 0, -1
        self.run, self.run_bits, self.run_length = 0, [], 0
        self.previous = {}
        self.code(file, chosen)

    def code(self, file, chosen):
        sampling = [divmod(part[1], 16) for part in self.frame["parts"]]
        widest, highest = max(h for h, _ in sampling), max(v for _, v in sampling)
        width, height = self.frame["width"], self.frame["height"]
        if len(chosen) > 1:
            columns, rows = -(-width // (8 * widest)), -(-height // (8 * highest))
        else:
            h, v = sampling[chosen[0][0]]
            columns = (-(-width * h // widest) + 7) // 8
            rows = (-(-height * v // highest) + 7) // 8
        total = columns * rows
        mcus = total if self.record["mcus"] is None else self.record["mcus"]
        for mcu in range(mcus):
            interval = file.interval if self.record["restarts"] else 0
            if interval and mcu and mcu % interval == 0:
                self.end_run(4 + chosen[0][2])
                self.flush()
                self.out += bytes([255, 0xD0 + (mcu // interval - 1) % 8])
                self.previous = {}
            for index, dc, ac in chosen:
                h, v = sampling[index] if len(chosen) > 1 else (1, 1)
                for y in range(v):
                    for x in range(h):
                        row, column = mcu // columns * v + y, mcu % columns * h + x
                        block = [int(c) for c in file.arrays[index][row][column]]
                        self.block(index, dc, 4 + ac, [block[place] for place in ZIGZAG])
                        self.blocks += 1
        self.end_run(4 + chosen[0][2])
        if mcus == total:
            self.flush()
        else:
            self.whole_bytes()

    def bytes(self):
        return self.out

    def put(self, value, size):
        self.bits += [value >> i & 1 for i in range(size - 1, -1, -1)]

    def symbol(self, table, symbol):
        counts = self.counts.setdefault(table, {})
        counts[symbol] = counts.get(symbol, 0) + 1
        self.put(*self.tables.get(table, {}).get(symbol, (0, 0)))

    def value(self, v, size):
        self.put(v if v >= 0 else v + (1 << size) - 1, size)

    def whole_bytes(self):
        while len(self.bits) >= 8:
            byte = int("".join(map(str, self.bits[:8])), 2)
            self.out += bytes([byte]) + (b"\0" if byte == 255 else b"")
            self.bits = self.bits[8:]

    def flush(self):
        missing = -len(self.bits) % 8
        if missing and self.fill is None:
            self.put(self.listed.pop(0) if self.listed else 0, missing)
        else:
            self.bits += [self.fill] * missing
        self.whole_bytes()

    def block(self, index, dc, ac, zz):
        if self.start == 0:
            if self.high:
                self.put(zz[0] >> self.low & 1, 1)
            else:
                v = zz[0] >> self.low
                difference = v - self.previous.get(index, 0)
                self.previous[index] = v
                self.symbol(dc, abs(difference).bit_length())
                self.value(difference, abs(difference).bit_length())
            if self.end == 0:
                return
        extra = self.record["zero_runs"].get(self.blocks, 0)
        if self.high:
            self.refined(ac, zz, extra)
        else:
            self.first(ac, zz, extra)

    def first(self, ac, zz, extra):
        zeros = 0
        for k in range(max(self.start, 1), self.end + 1):
            v = abs(zz[k]) >> self.low
            if not v:
                zeros += 1
                continue
            self.end_run(ac)
            for _ in range(zeros // 16):
                self.symbol(ac, 0xF0)
            self.symbol(ac, zeros % 16 * 16 + v.bit_length())
            self.value(v if zz[k] > 0 else -v, v.bit_length())
            zeros = 0
        for _ in range(extra):
            self.end_run(ac)
            self.symbol(ac, 0xF0)
            zeros -= 16
        if zeros and self.frame["progressive"]:
            self.join_run(ac, [])
        elif zeros:
            self.symbol(ac, 0)

    def refined(self, ac, zz, extra):
        size = {k: abs(zz[k]) >> self.low for k in range(self.start, self.end + 1)}
        last = max((k for k in size if size[k] == 1), default=self.start - 1)
        zeros, bits, k = 0, [], self.start
        while k <= last:
            if size[k] == 0:
                zeros += 1
                k += 1
                continue
            while zeros > 15:
                self.end_run(ac)
                self.symbol(ac, 0xF0)
                self.bits += bits
                zeros, bits = zeros - 16, []
            if size[k] > 1:
                bits.append(size[k] & 1)
            else:
                self.end_run(ac)
                self.symbol(ac, zeros * 16 + 1)
                self.bits += [int(zz[k] > 0), *bits]
                zeros, bits = 0, []
            k += 1
        for _ in range(extra):
            if k > self.end:
                break
            self.end_run(ac)
            self.symbol(ac, 0xF0)
            left = 16
            while k <= self.end and left:
                if size[k]:
                    self.bits.append(size[k] & 1)
                else:
                    left -= 1
                k += 1
        if k <= self.end:
            self.join_run(ac, [size[i] & 1 for i in range(k, self.end + 1) if size[i]])

    def join_run(self, ac, bits):
        if self.run == 0:
            self.runs += 1
            self.run_length = self.record["runs"].get(self.runs, 0)
        self.run += 1
        self.run_bits += bits
        if self.run_length:
            ends = self.run == self.run_length
        else:
            rule = self.record["rule"]
            ends = rule == 2 or (rule == 0 and len(self.run_bits) > 937)
        if ends or self.run == 32767:
            self.end_run(ac)

    def end_run(self, ac):
        if not self.run:
            return
        length = self.run_length or self.run
        size = length.bit_length() - 1
        self.symbol(ac, size * 16)
        self.put(length & (1 << size) - 1, size)
        self.bits += self.run_bits
        self.run, self.run_bits = 0, []
