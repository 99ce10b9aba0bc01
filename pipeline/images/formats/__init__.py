"""Image file formats: one module a format, with what several of them need."""
