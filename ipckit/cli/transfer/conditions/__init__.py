"""The conditions of `ipckit wait`: an object is ready, exists, or is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit.cli.transfer.addresses import parse
from ipckit.cli.transfer.conditions.condition import Condition
from ipckit.cli.transfer.conditions.existing import KINDS, presence
from ipckit.cli.transfer.conditions.ready import readiness

if TYPE_CHECKING:
    from typing import Literal

__all__ = ["condition_of"]


def condition_of(text: str, until: Literal["ready", "exists", "gone"]) -> Condition:
    """That the object of the address *text* is so.

    Raises:
        ValueError: it is no address, or of something that cannot be waited for in this way.
        NotFoundError: it must exist to become ready, and does not (ENOENT).
    """
    kind, name = parse(text, KINDS)
    if kind == "pid" and until != "exists":
        return readiness(text, kind, name)
    if until == "ready":
        return readiness(text, kind, name)
    there = presence(kind, name)
    return Condition(text, there if until == "exists" else lambda: not there())
