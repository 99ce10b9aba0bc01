"""Pixels that were decoded from JPEG, from FORMAT.md alone: a part of the plain decoder."""

from tests.vectors import plain_dct, plain_jpeg, plain_jpeg_file
from tests.vectors.plain_decoder import take_exceptions


def decode(payload, height, width, channels, model_file, specification):
    """Samples of the image, row by row. specification: the text of FORMAT.md."""
    size, at = plain_dct.number_at(payload, 0)
    coded, rest = payload[at : at + size], payload[at + size :]
    templates = plain_jpeg.read_template_table(specification)
    dictionary = plain_jpeg_file.read_dictionary(specification)
    [(_, recipe, components)] = plain_dct.decode(
        coded,
        model_file,
        lambda code: plain_jpeg_file.read_recipes(code, dictionary),
        lambda recipe: plain_jpeg.read_layout(recipe, templates),
    )
    layout = plain_jpeg.read_layout(recipe, templates)
    planes = [
        plane(blocks, columns, steps)
        for (_, columns, _, _, steps), blocks in zip(layout, components, strict=True)
    ]
    _, _, h, v, _ = layout[0]
    exceptions, rest = take_exceptions(rest, channels)
    assert rest == b""
    samples = bytearray()
    for y in range(height):
        for x in range(width):
            made = [planes[0][y][x]] * channels
            if len(planes) == 3:
                rows, columns = -(-height // v), -(-width // h)
                blue, red = (chroma(p, y, x, h, v, rows, columns) for p in planes[1:])
                made = colour(made[0], blue - 128, red - 128)
            off = exceptions.get(y * width + x, [0] * channels)
            samples += bytes((m + o) & 255 for m, o in zip(made, off, strict=True))
    return bytes(samples)


def plane(blocks, columns, steps):
    rows = [[0] * (8 * columns) for _ in range(8 * (len(blocks) // columns))]
    for number, block in enumerate(blocks):
        top, left = 8 * (number // columns), 8 * (number % columns)
        d = [signed(c * q) for c, q in zip(block, steps, strict=True)]
        done = [transform([d[8 * u + v] for u in range(8)], 11) for v in range(8)]
        for y in range(8):
            line = transform([done[v][y] for v in range(8)], 18)
            rows[top + y][left : left + 8] = [128 + max(-128, min(127, value)) for value in line]
    return rows


def transform(x, s):
    a, b = -7373 * (x[7] + x[1]), -20995 * (x[5] + x[3])
    h = 9633 * (x[7] + x[3] + x[5] + x[1])
    c, d = h - 16069 * (x[7] + x[3]), h - 3196 * (x[5] + x[1])
    e = 4433 * (x[2] + x[6])
    f, g = e - 15137 * x[6], e + 6270 * x[2]
    p, q = (8192 * total + 2 ** (s - 1) for total in (x[0] + x[4], x[0] - x[4]))
    even = p + g, q + f, q - f, p - g
    odd = (
        12299 * x[1] + a + d,
        25172 * x[3] + b + c,
        16819 * x[5] + b + d,
        2446 * x[7] + a + c,
    )
    first = [signed(m + n) >> s for m, n in zip(even, odd, strict=True)]
    return first + [signed(m - n) >> s for m, n in zip(even, odd, strict=True)][::-1]


def signed(value):
    return (value + 2**31) % 2**32 - 2**31


def chroma(samples, y, x, h, v, rows, columns):
    def sample(row, column):
        return samples[max(0, min(rows - 1, row))][max(0, min(columns - 1, column))]

    row, column = y // v, x // h
    beside, above = column + (1 if x & 1 else -1), row + (1 if y & 1 else -1)
    if h == 1:
        return sample(row, column)
    near = 3 * sample(row, column) + sample(row, beside)
    if v == 1:
        return (near + 1 + (x & 1)) >> 2
    far = 3 * sample(above, column) + sample(above, beside)
    return (3 * near + far + 8 - (x & 1)) >> 4


def colour(luma, blue, red):
    base = 262144 * luma + 131072
    sums = base + 367524 * red, base - 90216 * blue - 187208 * red, base + 464520 * blue
    return [max(0, min(255, total >> 18)) for total in sums]
