"""JPEG files taken apart: quantised coefficients, and a recipe that gives the file back."""
