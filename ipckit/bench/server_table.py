"""The servers' figures for a person at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from ipckit.bench.terminal import console
from ipckit.bench.units import digits, rate_text, time_text

if TYPE_CHECKING:
    from typing import TextIO

    from ipckit.bench.servers import ServerCell

_COLUMNS = ("server", "connections", "requests/s", "p50", "p99", "CPU/request", "memory")


def print_servers(cells: list[ServerCell], environment: dict[str, str], repeats: int, file: TextIO) -> None:
    """Print the table, and why a row is missing."""
    out = console(file)
    out.print(Text(f"ipckit {environment['ipckit']} bench --servers on {environment['cpu']}", "bold"))
    out.print(f"{environment['kernel']}, {environment['python'].split(' (')[0]}, load {environment['load before']}")
    out.print(
        "An echo server on a Unix stream socket, 64 B each way, one question at a time on each active connection;"
    )
    out.print(f"the clients are one or two other processes. Median of {repeats} repeat{'s' if repeats > 1 else ''}.")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for index, column in enumerate(_COLUMNS):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    for index, cell in enumerate(cells):
        if cell.cpu_ns:
            table.add_row(*_row(cell), end_section=_ends_block(cells, index))
    out.print()
    out.print(table)
    for cell in cells:
        if cell.active == cell.connections and (cell.reason or not cell.cpu_ns):
            out.print(f"Not measured: {cell.mode}, {cell.connections} connections: {cell.reason or 'interrupted'}")


def _row(cell: ServerCell) -> tuple[str, ...]:
    idle = "" if cell.active == cell.connections else f" ({cell.active} active)"
    return (
        cell.mode,
        f"{cell.connections}{idle}",
        rate_text(cell.median("requests_per_second")),
        time_text(cell.median("p50_ns")),
        time_text(cell.median("p99_ns")),
        time_text(cell.median("cpu_ns")),
        f"{digits(cell.median('memory_bytes') / (1 << 20))} MiB",
    )


def _ends_block(cells: list[ServerCell], index: int) -> bool:
    following = cells[index + 1 : index + 2]
    return bool(following) and following[0].mode != cells[index].mode
