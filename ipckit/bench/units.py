"""Sizes, rates and times as people write them."""

from __future__ import annotations

import re

_BINARY = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_SIZE = re.compile(r"(\d+)\s*(?:([kmg])(?:i?b)?|b)?", re.IGNORECASE)
_FACTOR = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_AGES = ((86400, "d", 2), (3600, "h", 2), (60, "min", 2))
_AGE = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(s|m|min|h|d|w)?", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
LARGEST = 1 << 30  # bytes; several messages must fit into memory at once


def size_text(size: int) -> str:
    """8 B, 1 KiB, 1 MiB; exact."""
    for unit, name in _BINARY:
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} B"


def parse_size(text: str) -> int:
    """The bytes of "8", "64 B", "1k", "64KiB", "1M"; k, M and G are powers of 1024.

    Raises:
        ValueError: it is none of these, or not 1 B to 1 GiB.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"a size is a number such as 8, 64k or 1M, not {text!r}")
    size = int(found[1]) * _FACTOR[(found[2] or "").lower()]
    if not 1 <= size <= LARGEST:
        raise ValueError(f"a size must be 1 B to {size_text(LARGEST)}, not {text!r}")
    return size


def digits(value: float) -> str:
    """Three significant digits, no exponent: 0.041, 1.02, 62.3, 4150."""
    if value == 0:
        return "0"
    decimals = 2
    magnitude = abs(value)
    while magnitude >= 10 and decimals > 0:
        magnitude, decimals = magnitude / 10, decimals - 1
    while magnitude < 0.995 and decimals < 6:
        magnitude, decimals = magnitude * 10, decimals + 1
    return f"{value:.{decimals}f}"


def counted(number: int, thing: str) -> str:
    """How many of a thing: "1 repeat", "2 repeats"."""
    return f"{number} {thing}{'s' * (number != 1)}"


def rate_text(rate: float) -> str:
    """Per second: 950, 41.7 k, 5.61 M."""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if rate >= 0.9995 * unit:
            return digits(rate / unit) + name
    return digits(rate)


def time_text(nanoseconds: float) -> str:
    """48.2 ns, 1.02 µs, 3.40 ms."""
    for unit, name in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if nanoseconds >= 0.9995 * unit:
            return f"{digits(nanoseconds / unit)} {name}"
    return f"{digits(nanoseconds)} ns"


def factor_text(factor: float) -> str:
    """0.41x, 1x, 19.3x, 120x."""
    if factor < 0.1:
        return f"{factor:.2g}x"
    return "1x" if factor == 1 else f"{digits(factor)}x"


def about(size: int) -> str:
    """950 B, 4 KiB, 1.18 MiB, 2.50 GiB; three digits."""
    for unit, name in _BINARY:
        if size >= unit:
            return f"{size // unit if size % unit == 0 else digits(size / unit)} {name}"
    return f"{size} B"


def age_text(seconds: float) -> str:
    """45 s, 12 min, 30 h, 9 d; whole ones."""
    for unit, name, least in _AGES:
        if seconds >= unit * least:
            return f"{int(seconds // unit)} {name}"
    return f"{int(seconds)} s"


def parse_age(text: str) -> float:
    """The seconds of "90", "90s", "15min", "2h", "1.5d", "2w".

    Raises:
        ValueError: it is none of these.
    """
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"a time is a number and s, min, h, d or w, as in 90s, 2h or 1.5d, not {text!r}")
    return float(found[1]) * _SECONDS[(found[2] or "s").lower()]
