"""What is found out about a file that ipckit has left in /dev/shm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ipckit.inspect.records import Verdict

if TYPE_CHECKING:
    from ipckit.inspect._processes.scan import Scan


class Finding(NamedTuple):
    """What is said of one file, beside what stat(2) tells.

    Attributes:
        fields: of its record.
        verdict: on it.
    """

    fields: dict[str, Any]
    verdict: Verdict


def gone(scan: Scan, why: str) -> Verdict:
    """The verdict on what nobody is seen to have or need: stale, if all processes could be looked into."""
    if not scan.unseen:
        return Verdict("stale", why)
    who = "one process" if scan.unseen == 1 else f"{scan.unseen} processes"
    return Verdict("unknown", f"{why}, as far as can be seen; {who} could not be looked into")
