"""Mend what a verification found: from second copies, and from what was read of the source."""
