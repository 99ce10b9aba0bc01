"""Reed-Solomon parity: blocks beside some bytes, from which lost ones of these come back."""
