"""Signatures and time-stamps of the state of an archive after a commit."""
