"""Pixels that were decoded from JPEG: the coefficients they came of, and those that differ.

A PNG file may hold what a decoder made of a JPEG file. `finding` finds the coefficients again, if
the decoder was libjpeg or computes as libjpeg does; `coding` codes them, with the pixels that do
not follow from them, and gives the pixels back. `schemas/FORMAT-JPEG.md` states the layout.
"""
