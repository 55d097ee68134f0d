"""What rows of codecs encode: a list of structs such as services return, numbers and a name in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ipckit.rpc import xdr

COUNT = 10_000
NAME_MAX = 255  # bytes, as of a file


@dataclass(slots=True)
class Struct:
    """36 bytes, and those of its name."""

    id: xdr.Int
    name: Annotated[str, xdr.Max(NAME_MAX)]
    value: xdr.Double
    flag: xdr.Bool
    size: xdr.UHyper


def sample_structs() -> list[Struct]:
    """As many as `COUNT`, with names of 14 to 17 bytes."""
    return [Struct(i - 5000, f"entry number {i}", i * 1.5, i % 2 == 0, i << 33) for i in range(COUNT)]
