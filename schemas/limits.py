"""The limits of what a reader accepts, each with its reason.

An archive may come from anyone, with digests that all agree. So nothing is read, expanded or
looped over because a record says so: a record is held against these limits first. Writers keep
them, too. `tests/hostile` attacks each of them. The sizes of networks are not here: FORMAT.md, part
2, derives those from what keeps sums exact.
"""

# Images. Decoding takes some bytes for each pixel, and minutes for so many.
MAX_PIXELS = 1 << 28  # about 268 megapixels; callers may set another limit
MIN_TILE, MAX_TILE = 16, 4096  # edges: a smaller one costs more than it codes, a larger one no u16
MAX_GROUP_TILES = 256  # what a network learns while it decodes takes up to 100 KB for each
MAX_GROUP_PIXELS = 1 << 26  # tiles per group times their area: what decoding a group may take

# Image files that are several pictures, or pixels of many samples.
MAX_RASTERS = 4096  # the directory of a payload is parsed as a whole
MAX_SAMPLES = 32  # of a pixel
MAX_SAMPLE_BYTES = 3 * MAX_PIXELS  # of all samples together, which are in memory at once
