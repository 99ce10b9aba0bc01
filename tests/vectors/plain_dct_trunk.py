"""What a trunk and a head see of a block, from FORMAT.md alone: a part of the plain decoder."""

from tests.vectors.plain_dct_contexts import (
    ZIGZAG,
    clip,
    magnitude_byte,
    signed_byte,
    towards_zero,
)

# The inverse DCT in 1/8192: by frequency, then by place.
WAVES = [
    [2896, 2896, 2896, 2896, 2896, 2896, 2896, 2896],
    [4017, 3406, 2276, 799, -799, -2276, -3406, -4017],
    [3784, 1567, -1567, -3784, -3784, -1567, 1567, 3784],
    [3406, -799, -4017, -2276, 2276, 4017, 799, -3406],
    [2896, -2896, -2896, 2896, 2896, -2896, -2896, 2896],
    [2276, -4017, 799, 3406, -3406, -799, 4017, -2276],
    [1567, -3784, 3784, -1567, -1567, 3784, -3784, 1567],
    [799, -2276, 3406, -4017, 4017, -3406, 2276, -799],
]


def line_of_pixels(block, coefficients, i, across):
    """Row i of a block's pixels (across 8), or column i (across 1)."""
    along = 9 - across
    waves = []
    for v in range(8):
        at = [across * u + along * v for u in range(8)]
        total = sum(block.dequantised(coefficients[z], z) * WAVES[u][i] for u, z in enumerate(at))
        waves.append((total + 1024) >> 11)
    return [(sum(c * WAVES[v][j] for v, c in enumerate(waves)) + 2048) >> 12 for j in range(8)]


def pixels_around(block):
    both = block.has_north and block.has_west
    pixels, seen = [], []
    for row in (7, 6, 5):
        for there, coefficients, part in (
            (both, block.northwest, slice(4, 8)),
            (block.has_north, block.north, slice(0, 8)),
            (block.has_north, block.northeast, slice(0, 4)),
        ):
            line = line_of_pixels(block, coefficients, row, 8)[part]
            pixels += line if there else [0] * len(line)
            seen += [there] * len(line)
    for column in (7, 6, 5):
        line = line_of_pixels(block, block.west, column, 1)
        pixels += line if block.has_west else [0] * 8
        seen += [block.has_west] * 8
    beside = [p for p, s in [*zip(pixels, seen, strict=True)][4:12] if s]
    beside += [p for p, s in [*zip(pixels, seen, strict=True)][48:56] if s]
    mean = towards_zero(sum(beside), len(beside)) if beside else 0
    return [p - mean if s else 0 for p, s in zip(pixels, seen, strict=True)]


def trunk_bytes(block, last):
    four = (block.north, block.west, block.northwest, block.northeast)
    traces = (block.above, block.left, block.above_left, block.above_right)
    pixels = pixels_around(block)
    size = sum(abs(p) for p in pixels) // 72
    step = max(block.steps[1], 1)
    further = [[magnitude_byte(abs(c)) for c in b] for b in block.further]
    return [
        *(signed_byte(c) for b in four for c in b),
        *(magnitude_byte(abs(c)) for b in (*four, block.north_north, block.west_west) for c in b),
        *((sum(sizes) + 2) // 4 for sizes in zip(*further, strict=True)),
        *(
            signed_byte(block.in_steps(block.direct[z], z) if block.straight else 0)
            for z in range(64)
        ),
        *(magnitude_byte(max(block.expected(z), 0)) for z in range(64)),
        *(magnitude_byte(max(q, 1)) for q in block.steps),
        *(magnitude_byte(mean >> 8) for mean in block.plane.means),
        4 * last,
        4 * block.last_near,
        *(4 * trace.last for trace in traces),
        *(magnitude_byte(trace.activity) for trace in traces),
        128 * block.has_north + 64 * block.has_west,
        block.plane.mean_last >> 6,
        4 * block.above.count,
        4 * block.left.count,
        magnitude_byte(size),
        magnitude_byte(4 * size // step),
        *(128 + clip(towards_zero(32 * p, size + size // 4 + 16), -127, 127) for p in pixels),
        *(signed_byte(towards_zero(4 * p, step)) for p in pixels),
    ]


def head_bytes(block, k):
    """Of an AC coefficient, between the bytes of all networks and those of the trunk."""
    z = ZIGZAG[k]
    u, v = z >> 3, z & 7
    traces = (block.above, block.left, block.above_left, block.above_right)
    distant = (block.north_north, block.west_west)

    def beside(b):
        cells = ((u - 1, v), (u, v - 1), (u + 1, v), (u, v + 1))
        return sum(abs(b[8 * i + j]) for i, j in cells if 0 <= i < 8 and 0 <= j < 8)

    def own_error(i, j):
        return block.error[8 * i + j] if i < 8 and j < 8 else 0

    further = [abs(b[z]) for b in block.further]
    errors = [trace.error[z] for trace in traces]
    return [
        *(magnitude_byte(c) for c in further),
        *(magnitude_byte(beside(b)) for b in distant),
        magnitude_byte(2 * sum(abs(b[z]) for b in distant) + sum(further)),
        *(signed_byte(e) for e in errors),
        magnitude_byte(sum(abs(e) for e in errors)),
        magnitude_byte(block.above.hoped[z]),
        magnitude_byte(block.left.hoped[z]),
        *(signed_byte(b[z]) for b in distant),
        magnitude_byte(block.lately),
        magnitude_byte(block.lately_hoped),
        *(
            signed_byte(own_error(u + i, v + j))
            for i, j in ((0, 1), (1, 0), (0, 2), (2, 0), (1, 1))
        ),
        0,
    ]


def own_bytes(block, k):
    """Of what is known of the block, less 128 where it is signed."""
    known = [block.known[ZIGZAG[i]] if i > k else 0 for i in range(64)]
    return [signed_byte(c) - 128 for c in known] + [magnitude_byte(abs(c)) for c in known]
