"""Numbers for programs that are there for a while, such as those of clients that are called back."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipckit.rpc.rpcbind import Rpcbind

__all__ = ["TRANSIENT", "transient_program"]

TRANSIENT = range(0x40000000, 0x60000000)
"""Numbers that RFC 5531, section 8.3, leaves to programs that choose theirs as they start."""


def transient_program(mapper: Rpcbind | None = None, *, timeout: float | None = None) -> int:
    """A number that nobody else has, drawn at random from the 2**29 of `TRANSIENT`.

    >>> transient_program() in TRANSIENT
    True

    Args:
        mapper: choose none that is registered there. Not needed where the peer is told the address as well.
        timeout: seconds to wait for *mapper*.
    """
    taken = set() if mapper is None else {one.program for one in mapper.dump(timeout)}
    dice = random.SystemRandom()
    while (number := dice.choice(TRANSIENT)) in taken:
        pass
    return number
