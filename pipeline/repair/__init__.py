"""Mend damage that a verification found, from second copies and from the source."""
