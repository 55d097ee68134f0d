"""What options take: seconds, sizes, numbers, permission bits; for `argparse`, which prints what is wrong with them."""

from __future__ import annotations

import argparse
import math


def seconds(text: str) -> float:
    """0 or more seconds."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        raise argparse.ArgumentTypeError(f"must be 0 or more seconds, not {text!r}")
    return found


def size(text: str) -> int:
    """Bytes, as in 8, 64k, 1M."""
    from ipckit.bench.units import parse_size

    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def whole_number(text: str) -> int:
    """1 or more."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {text!r}")
    return int(text)


def permissions(text: str) -> int:
    """Permission bits in octal, as chmod(1) takes them."""
    try:
        found = int(text, 8)
    except ValueError:
        found = -1
    if not 0 <= found <= 0o777:
        raise argparse.ArgumentTypeError(f"must be permission bits in octal, 0 to 777, not {text!r}")
    return found
