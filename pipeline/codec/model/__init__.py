"""Model files: sizes, integer weights and tables, and the bounds that make them exact."""
