"""`ipckit doctor`: is this machine fit for IPC, and what is to be done?"""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections import Counter
from typing import TYPE_CHECKING

from ipckit.cli.terminal.screen import cells, has_colours, is_terminal, printable, styled
from ipckit.cli.terminal.table import Column, Table
from ipckit.inspect.checks import Finding, findings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ipckit.cli.terminal.screen import Style

DESCRIPTION = """\
Check this machine: mounts, limits near exhaustion, stale objects, what the kernel can do, whom it lets do it, the
processors, and the installation of ipckit itself; and say what to do, with the commands that do it.

Exit status: 0 without a problem (warnings are none), 1 with one."""

_STYLES: dict[str, Style] = {"ok": "green", "warning": "yellow", "problem": "red", "unknown": "cyan"}
_LEVEL_WIDTH = max(map(len, _STYLES))
_MOST_COLUMNS = 120

TABLE: Table[Finding] = Table(
    "doctor",
    "findings",
    (
        Column(key="level", header="LEVEL", help="ok, warning, problem, unknown", value=lambda found: found.level),
        Column(key="name", header="CHECK", help="what was looked at", value=lambda found: found.name),
        Column(key="found", header="FOUND", help="what was found", value=lambda found: found.found),
        Column(key="advice", header="ADVICE", help="what to do", value=lambda found: found.advice),
        Column(key="commands", header="COMMANDS", help="how to do it", value=lambda found: list(found.commands)),
    ),
)


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "doctor",
        help="check this machine, with advice",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="leave out what is as it should be")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document")
    form.add_argument("--csv", action="store_true", help="CSV")
    parser.set_defaults(run=run, columns=None, header=True, sort=None, reverse=False)


def run(arguments: argparse.Namespace) -> int:
    """Check, print; 1 where there is a problem."""
    counted: Counter[str] = Counter()
    rows = _counted(findings(), counted, quiet=arguments.quiet)
    if arguments.json or arguments.csv:
        TABLE.print(rows, arguments, ending=lambda: {"levels": {level: counted[level] for level in _STYLES}})
    else:
        _print(rows, counted)
    return 1 if counted["problem"] else 0


def _counted(found: Iterable[Finding], counted: Counter[str], *, quiet: bool) -> Iterator[Finding]:
    for finding in found:
        counted[finding.level] += 1
        if not quiet or finding.level in ("warning", "problem"):
            yield finding


def _print(rows: Iterable[Finding], counted: Counter[str]) -> None:
    colours = has_colours(sys.stdout)
    # In a pipe every sentence stays on its line, for grep.
    width = min(shutil.get_terminal_size().columns, _MOST_COLUMNS) if is_terminal(sys.stdout) else None
    shown = list(rows)
    names = max((cells(finding.name) for finding in shown), default=0)
    indent = " " * (_LEVEL_WIDTH + names + 4)
    for finding in shown:
        level = styled(finding.level.ljust(_LEVEL_WIDTH), _STYLES[finding.level], colours=colours)
        name = styled(finding.name.ljust(names), "bold", colours=colours)
        found, *more = _wrapped(finding.found, indent, width)
        print(f"{level}  {name}  {found}")
        advice = _wrapped(f"-> {finding.advice}", indent, width, hanging="   ") if finding.advice else []
        for line in [*more, *advice]:
            print(f"{indent}{line}")
        for command in finding.commands:  # never broken: they are there to be copied
            print(f"{indent}   {styled(command, 'cyan', colours=colours)}")
    sums = [f"{counted[level]} {level}" for level in ("problem", "warning", "unknown", "ok") if counted[level]]
    print(f"{', '.join(sums)}.")


def _wrapped(text: str, indent: str, width: int | None, hanging: str = "") -> list[str]:
    if width is None:
        return [printable(text)]
    room = max(20, width - len(indent))
    return textwrap.wrap(printable(text), room, subsequent_indent=hanging, break_on_hyphens=False) or [""]
