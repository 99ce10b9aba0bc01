"""The limits of what a reader accepts, each with its reason.

An archive may come from anyone, with digests that all agree. So nothing is read, expanded or
looped over because a record says so: a record is held against these limits first. Writers keep
them, too. `tests/hostile` attacks each of them. The sizes of networks are not here: FORMAT.md, part
2, derives those from what keeps sums exact.
"""

# Objects that are read as a whole, which needs several times their size.
MAX_HEADER_BYTES = 1 << 16  # of archive.json, which has less than 1 KiB
MAX_COMMIT_BYTES = 1 << 28  # a recap of 250,000 shards; writers leave out a recap that is longer
MAX_TABLE_BYTES = 1 << 30  # a plan of 20 million files
MAX_BLOB_BYTES = 1 << 36  # only a repair reads a blob as a whole, and has its size from a commit
MAX_MODEL_BYTES = 1 << 26  # the largest network that FORMAT.md, part 2, allows

# What is counted in records.
MAX_NUMBER = (1 << 63) - 1  # what tables can hold
MAX_RUN_SHARDS = 1 << 24  # who continues a run looks for each shard that it plans
MAX_SHARD_ROWS = 1 << 20  # a restore has all rows of a shard in memory, 1 to 2 KiB each
MAX_MEMBERS = 1 << 20  # of one row: all are in memory at once
MAX_MEMBER_DEPTH = 8  # an image in a tar in a zip has 2; packed parts may add one each
PARITY_WHOLE = 10_000  # the share of parity that a commit promises is counted in these parts
MAX_GROUP_ROWS = 1 << 20  # of a plan, which has a row group for each shard
ROW_GROUP_ROWS = 1024  # of other tables: so much is in memory at once
MAX_EXPANDED_BYTES = 1 << 30  # all values of a table, or of a row group of a plan
MAX_JSON_DEPTH = 32  # of objects and lists in each other; records and cards have 8

# Images. Decoding takes some bytes for each pixel, and minutes for so many.
MAX_PIXELS = 1 << 28  # about 268 megapixels; callers may set another limit
MIN_TILE, MAX_TILE = 16, 4096  # edges: a smaller one costs more than it codes, a larger one no u16
MAX_GROUP_TILES = 256  # what a network learns while it decodes takes up to 100 KB for each
MAX_GROUP_PIXELS = 1 << 26  # tiles per group times their area: what decoding a group may take

# Files. One is in memory as a whole, in the archive's form and in its own.
MAX_FILE_BYTES = 1 << 34
MAX_ZSTD_RATIO = 1 << 15  # a block of zstd takes 4 bytes or more, and gives 128 KiB or less
MAX_RECIPE_BYTES = 1 << 26  # how a GIF file was compressed, which is smaller than the file

# Image files that are several pictures, or pixels of many samples.
MAX_RASTERS = 4096  # the directory of a payload is parsed as a whole
MAX_SAMPLES = 32  # of a pixel
MAX_PIXEL_BYTES = 4 * MAX_SAMPLES
MAX_SAMPLE_BYTES = 3 * MAX_PIXELS  # of all samples together, which are in memory at once
MAX_STACK_PIXELS = 1 << 16  # one image of a stack costs decoding all of it, and so does damage

# Samples of any depth: what a coder of them learns takes 10 MB for each of a pixel, and 0.2 KB for
# each column; a group takes up to 30 bytes for each sample.
MAX_DEEP_COLUMNS = 1 << 20  # width times samples of a pixel
MAX_DEEP_GROUP = 1 << 22  # samples; a group of one row may have more
MAX_GAPS = 1 << 16  # between values that occur
