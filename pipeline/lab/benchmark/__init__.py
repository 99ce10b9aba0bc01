"""SEEC and its peers on the same pixels, in the same process, one thread each."""
