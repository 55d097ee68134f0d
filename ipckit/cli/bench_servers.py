"""`ipckit bench --servers`: which of the four servers, for how many connections?"""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ipckit.cli.failure import Failure

if TYPE_CHECKING:
    import argparse

_NOT_HERE = ("list", "only", "sizes", "placement", "also", "csv", "html", "compare", "new", "force")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, write; return the exit status."""
    from ipckit.bench import environment, placement, servers

    if wrong := [name for name in _NOT_HERE if getattr(arguments, name)]:
        option = "with" if wrong[0] == "new" else wrong[0]
        raise Failure(f"--servers takes --quick, --repeats, --seconds and --json, not --{option}", status=2)
    if find_spec("rich") is None:
        raise Failure("the table needs the package rich: pip install 'ipckit[cli]'", status=2)
    from ipckit.bench.server_table import print_servers
    from ipckit.bench.terminal import progress_bar

    amount = servers.QUICK if arguments.quick else servers.FULL
    amount = replace(
        amount,
        repeats=arguments.repeats or amount.repeats,
        seconds=arguments.seconds or amount.seconds,
    )
    to_file = arguments.json and arguments.json != "-"
    if to_file:
        Path(arguments.json).touch()  # to find out after minutes that it can't be written would be late
    around = environment.record(placement.read_topology())
    cells = servers.new_cells()
    status = 0
    try:
        with progress_bar(sys.stderr) as observe:
            servers.measure(cells, amount, observe)
    except KeyboardInterrupt:
        status = 130
    text = servers.to_json(cells, around, amount)
    if to_file:
        Path(arguments.json).write_text(text, encoding="utf-8")
    if arguments.json == "-":
        sys.stdout.write(text)
    else:
        print_servers(cells, around, amount.repeats, sys.stdout)
    return status
