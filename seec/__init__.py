"""SEEC: lossless archives of image collections."""
