"""What a check has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem", "unknown"]
"""How bad it is.

=======  ================================================================================
level    meaning
=======  ================================================================================
ok       nothing to do; where there is advice, it is a hint
warning  it works, but less well than it could, or not for long
problem  something that ipckit has does not work here
unknown  it could not be looked at
=======  ================================================================================
"""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check has found.

    Attributes:
        name: what was looked at, in a few words.
        level: how bad it is.
        found: what was found, in one sentence.
        advice: what to do; "" where there is nothing to do.
        commands: lines for the shell that do it; what a person has to put in is in capitals.
    """

    name: str
    level: Level
    found: str
    advice: str = ""
    commands: tuple[str, ...] = ()


def quantity(size: int) -> str:
    """Bytes as a person says them.

    >>> quantity(512), quantity(64 << 20), quantity(3 << 29)
    ('512 bytes', '64 MiB', '1.5 GiB')
    """
    if size < 1024:
        return f"{size} bytes"
    value, unit = float(size), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"
