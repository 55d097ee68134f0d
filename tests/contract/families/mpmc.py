"""Rings for many, in which each message is for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit.ring.mpmc import MpmcRing
from tests.contract.families.rings import RING, RING_CALLS, RING_CONSTANTS, RING_TRAVEL, RING_WAITS
from tests.contract.shapes import Subject, named

if TYPE_CHECKING:
    from collections.abc import Callable

MPMC_CALLS: dict[str, Callable[[Any], object]] = {
    **RING_CALLS,
    "join": lambda h: h.join(),
    "max_messages": lambda h: h.max_messages,
}


SUBJECTS: tuple[Subject, ...] = (
    Subject(
        "MpmcRing",
        MpmcRing,
        make=named(MpmcRing, RING),
        calls=MPMC_CALLS,
        waits=RING_WAITS,
        constants=RING_CONSTANTS,
        naming=RING,
        **RING_TRAVEL,
    ),
    Subject(
        "MpmcRing-anonymous",
        MpmcRing,
        make=lambda: [MpmcRing.create(capacity=4096)],
        calls=MPMC_CALLS,
        constants=RING_CONSTANTS,
        **RING_TRAVEL,
    ),
)
