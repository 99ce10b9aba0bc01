"""What tests look up in rows, and how they change them."""

from dataclasses import replace
from typing import Any

from seec.schemas.rows import Row


def envelope_of(row: Row) -> bytes:
    return (row.samples.envelope or b"") if row.samples else b""


def format_of(row: Row) -> str | None:
    return None if row.image is None else row.image.format


def with_samples(row: Row, **changes: Any) -> Row:
    assert row.samples is not None
    return replace(row, samples=replace(row.samples, **changes))


def with_image(row: Row, **changes: Any) -> Row:
    assert row.image is not None
    return replace(row, image=replace(row.image, **changes))
