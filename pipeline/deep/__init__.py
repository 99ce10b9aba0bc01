"""Samples of any depth, losslessly: rasters of 9 to 32 bits, floats, masks, many bands, stacks.

Each sample is predicted by least squares from its neighbours in its own plane, in the bands before
and in the slice before. Adaptive contexts and distributions are mixed for each binary decision
about what is left, in integers. Nothing is trained beforehand.
"""

from seec.pipeline.deep.codec import decode, encode
from seec.pipeline.deep.native import is_built

__all__ = ["decode", "encode", "is_built"]
