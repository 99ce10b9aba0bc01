"""Which way of coding an image takes least: what the encoder tries before and while it codes."""
