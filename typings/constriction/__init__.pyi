# The part of constriction that SEEC uses; the package ships no types.
from . import stream as stream
