"""Samples of any depth: what they take with us and with the peers."""
