"""`ipckit limits`: every limit of the kernel that matters to IPC, its use, and how to raise it."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from ipckit.bench.units import about, size_text
from ipckit.cli.failure import Failure
from ipckit.cli.terminal.table import Column, Table
from ipckit.inspect.limits import Limit, kernel_limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.cli.terminal.screen import Style

DESCRIPTION = """\
List the limits of the kernel on IPC: the value of each, how much of it is used now, and how to raise it.

NAME is a part of a name, such as mqueue, nofile, kernel.sem or /dev/shm, or a pattern; without any, all are listed.
Limits of a process are those of this one, with what ulimit and systemd gave it. Where another process is nearer to its
own limit, the column "nearest" has that one, and the share is that one's."""

FOUND = 3
_WARNING, _PROBLEM = 0.8, 0.95
_LARGE = 1 << 20  # bytes; below it every one may count


def _used(limit: Limit) -> str:
    return "-" if limit.used is None else _amount(limit.used, limit.unit)


def _value(limit: Limit) -> str:
    if limit.value is None:
        return "none" if limit.unlimited else "?"
    return _amount(limit.value, limit.unit)


def _amount(number: int, unit: str) -> str:
    if unit != "bytes":
        return str(number)
    return size_text(number) if number < _LARGE else about(number)


def _unit(limit: Limit) -> str:
    return "" if limit.unit == "bytes" else limit.unit


def _share(limit: Limit) -> str:
    return "-" if limit.share is None else f"{math.floor(limit.share * 100)} %"


def _style(limit: Limit) -> Style:
    share = limit.share or 0.0
    return "red" if share >= _PROBLEM else "yellow" if share >= _WARNING else ""


def _remedy(limit: Limit) -> str:
    return limit.remedy or ("it is fixed" if limit.fixed else "-")


def _nearest(limit: Limit) -> str:
    near = limit.nearest
    if near is None:
        return "-"
    return f"{near.pid} ({near.command}): {_amount(near.used, limit.unit)} of {_amount(near.value, limit.unit)}"


TABLE: Table[Limit] = Table(
    "limits",
    "limits",
    (
        Column(key="name", header="LIMIT", help="sysctl, RLIMIT, or what it is of", value=lambda limit: limit.name),
        Column(
            key="used", header="USED", help="how much is used now", value=lambda limit: limit.used, text=_used,
            right=True,
        ),
        Column(key="value", header="OF", help="the limit", value=lambda limit: limit.value, text=_value, right=True),
        Column(key="unit", header="UNIT", help="of both", value=lambda limit: limit.unit, text=_unit, spare=True),
        Column(
            key="share", header="SHARE", help="how much of it is used; 1 is all in JSON and CSV",
            value=lambda limit: limit.share, text=_share, style=_style, right=True,
        ),
        Column(
            key="about", header="WHAT", help="what it limits", value=lambda limit: limit.about, cut="end", spare=True,
        ),
        Column(
            key="remedy", header="TO RAISE IT", help="how to raise it", value=lambda limit: limit.remedy, text=_remedy,
            cut="end", spare=True,
        ),
        Column(
            key="nearest", header="NEAREST", help="the process that is nearest to its own limit",
            value=lambda limit: None if limit.nearest is None else limit.nearest._asdict(), text=_nearest, extra=True,
        ),
        Column(key="scope", header="FOR", help="what it is for", value=lambda limit: limit.scope, extra=True),
        Column(
            key="fails", header="FAILS", help="what fails when it is reached", value=lambda limit: limit.fails,
            extra=True,
        ),
        Column(
            key="container", header="CONTAINER", help="how to raise it for a container",
            value=lambda limit: limit.container, extra=True,
        ),
        Column(
            key="unlimited", header="UNLIMITED", help="whether there is none", value=lambda limit: limit.unlimited,
            extra=True,
        ),
    ),
)  # fmt: skip


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "limits",
        help="list the kernel's limits on IPC, how much of them is used, and how to raise them",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only limits with that in their names")
    parser.add_argument(
        "--exhausted", metavar="PERCENT", type=_percent, help="only those of which so much is used, or more"
    )
    parser.add_argument(
        "--exit-code", action="store_true", help=f"exit with {FOUND} if anything is listed, 0 if nothing is"
    )
    TABLE.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List; return the exit status."""
    try:
        limits = kernel_limits(arguments.names or None)
    except ValueError as error:
        raise Failure(f"{error}; `ipckit limits` lists them", status=2) from None
    count = TABLE.print(_chosen(limits, arguments.exhausted), arguments)
    return FOUND if arguments.exit_code and count else 0


def _chosen(limits: Iterator[Limit], exhausted: float | None) -> Iterator[Limit]:
    for limit in limits:
        if exhausted is None or (limit.share is not None and limit.share * 100 >= exhausted):
            yield limit


def _percent(text: str) -> float:
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = math.nan
    if not 0 <= percent <= 100:
        raise argparse.ArgumentTypeError(f"must be 0 to 100, not {text!r}")
    return percent
