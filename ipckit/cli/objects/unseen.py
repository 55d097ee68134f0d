"""What a look could not see, in words and for programs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ipckit.cli.objects.record_columns import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.inspect import Look

_SHOWN = 3


def footer(look: Look) -> Iterator[str]:
    """What could not be seen, in sentences."""
    if look.unseen:
        who = "1 process" if look.unseen == 1 else f"{look.unseen} processes"
        more = "" if os.geteuid() == 0 else "; root may look into more"
        yield f"{who} could not be looked into, and may have any of these{more}."
    yield from look.notes
    others = look.other_namespaces()
    if others:
        shown = [f"{other.hint or 'no name'}, as process {other.processes[0].pid}" for other in others[:_SHOWN]]
        rest = f"; and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        what = "1 other IPC namespace has" if len(others) == 1 else f"{len(others)} other IPC namespaces have"
        yield (
            f"{what} objects that are not listed ({'; '.join(shown)}{rest}): "
            f"nsenter --target PID --ipc --mount ipckit ls"
        )


def unseen(look: Look) -> dict[str, object]:
    """The same for a JSON document."""
    others = [
        {"inode": other.inode, "hint": other.hint, "pids": [process.pid for process in other.processes]}
        for other in look.other_namespaces()
    ]
    return {"unseen": look.unseen, "notes": plain(look.notes), "other_ipc_namespaces": others}
