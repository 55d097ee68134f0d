"""Which of the kernel's limits are nearly reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit.errors import IPCError
from ipckit.inspect._checks.finding import Finding, quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ipckit.inspect._checks.finding import Level
    from ipckit.inspect.limits import Limit

SCARCE = 0.8  # of a limit


def exhaustion(limits: Iterable[Limit], *, scarce: float = SCARCE) -> Iterator[Finding]:
    """Those of the limits of which *scarce* or more is in use; or that there are none such.

    Args:
        limits: as `ipckit.inspect.limits.kernel_limits` reads them.
        scarce: a share, 0.0 to 1.0.
    """
    seen = near = 0
    try:
        for limit in limits:
            if limit.share is None:
                continue
            seen += 1
            if limit.share >= scarce:
                near += 1
                yield _near(limit)
    except (IPCError, ImportError) as error:  # what is not installed is told elsewhere
        yield Finding(name="limits", level="unknown", found=f"they can't be read: {error}")
        return
    if not near:
        found = f"of {seen} limits whose use can be told, none is used to more than {scarce:.0%}"
        yield Finding(name="limits", level="ok", found=found)


def _near(limit: Limit) -> Finding:
    share = limit.share or 0.0
    who, used, value = "", limit.used, limit.value
    nearest = limit.nearest
    if nearest is not None and nearest.share >= share:
        who, used, value = f" by process {nearest.pid} ({nearest.command})", nearest.used, nearest.value
    what = f"{_amount(used, limit.unit)} of {_amount(value, limit.unit)} are in use{who}: {limit.about}"
    advice = "find what is not needed any more, or raise it"
    if limit.fails:
        advice = f"when it is reached, {limit.fails}; {advice}"
    raising = [way.split("; ")[0] for way in (limit.remedy, limit.container) if way]
    commands = ("ipckit ls", *raising)
    level: Level = "problem" if share >= 1 else "warning"
    return Finding(name=limit.name, level=level, found=what, advice=advice, commands=commands)


def _amount(value: int | None, unit: str) -> str:
    if value is None:
        return "?"
    return quantity(value) if unit == "bytes" else f"{value} {unit}"
