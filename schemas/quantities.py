"""Quantities as people write them: durations and rates."""

import math

SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
RATES = {
    "kB/s": 10**3,
    "MB/s": 10**6,
    "GB/s": 10**9,
    "KiB/s": 2**10,
    "MiB/s": 2**20,
    "GiB/s": 2**30,
}


def parse_duration(text: str) -> float:
    """Seconds of a number and a unit, such as 20m, or of 0. ValueError if it is no duration."""
    unit = SECONDS.get(text[-1:], 0 if text == "0" else None)
    try:
        number = float(text[:-1] or "0")
    except ValueError:
        number = math.nan
    if unit is None or not 0 <= number < math.inf:
        raise ValueError(f"{text!r} is not 0, nor a number and one of s, m, h, d")
    return number * unit


def parse_rate(text: str) -> float:
    """Bytes a second of a number and a unit, such as 8MiB/s. ValueError if it is no rate, or 0."""
    unit = next((unit for unit in RATES if text.endswith(unit)), "")
    number = text.removesuffix(unit).strip()
    if not unit or not number.replace(".", "", 1).isdecimal() or not float(number):
        raise ValueError(f"{text!r} is not a number and one of {', '.join(RATES)}")
    return float(number) * RATES[unit]
