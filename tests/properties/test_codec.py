"""What holds for any image, any tiling and any labels."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seec.pipeline.codec import Encoder, Region, decode, decode_region, default_model, inspect
from seec.schemas.container import reader

sides = st.integers(1, 40)
shapes = st.one_of(st.tuples(sides, sides), st.tuples(sides, sides, st.just(3)))
# Few different values make flat areas and edges; all 256 make noise.
images = shapes.flatmap(
    lambda shape: st.sampled_from([1, 3, 255]).flatmap(
        lambda most: arrays(np.uint8, shape, elements=st.integers(0, most))
    )
)


@settings(max_examples=60, deadline=None)
@given(
    image=images,
    tile_size=st.sampled_from([16, 32]),
    per_group=st.integers(1, 5),
    block_shift=st.integers(3, 4),
    threads=st.integers(1, 2),
    labels=st.none() | st.integers(0, 3),
    turned=st.none() | st.booleans(),
    corner=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_any_image_in_any_tiling_comes_back(
    image, tile_size, per_group, block_shift, threads, labels, turned, corner
):
    height, width = image.shape[:2]
    label_map = None if labels is None else np.full((height, width), labels, np.uint8)
    encoder = Encoder(
        default_model(),
        threads=threads,
        tile_size=tile_size,
        tiles_per_group=per_group,
        block_shift=block_shift,
        turned=turned,
    )
    (blob,) = encoder.encode_batch([image], [label_map])
    assert np.array_equal(decode(blob, threads=threads), image)
    info = inspect(blob)
    assert (info.height, info.width) == (height, width)
    groups = sum(name == "tile_group" for name, _ in info.sections)
    assert len(blob) <= image.nbytes + 50 + 10 * (groups + 1) + 40
    x, y = int(corner[0] * (width - 1)), int(corner[1] * (height - 1))
    part = decode_region(reader(blob), Region(x, y, width - x, height - y))
    assert np.array_equal(part, image[y:, x:])
