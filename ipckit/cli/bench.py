"""`ipckit bench`: which primitive should I use, on this machine, for my message size?"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ipckit.bench.report import Report, ReportError
from ipckit.bench.settings import FULL, QUICK, QUICK_ROWS, Settings, nominal
from ipckit.bench.units import parse_size
from ipckit.cli import bench_servers
from ipckit.cli.failure import Failure

if TYPE_CHECKING:
    from typing import TextIO

    from ipckit.bench.compare import Comparison
    from ipckit.bench.engine import Engine
    from ipckit.bench.row import Row

DESCRIPTION = """\
Measure the IPC primitives of this machine with real processes, and say which is the best for what.
Without options: every primitive, 8 B to 1 MiB, two CPUs. With --quick: the usual ones, within a minute."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "bench",
        help="compare the IPC primitives on this machine",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_argument_group("what to measure")
    what.add_argument(
        "--quick",
        action="store_true",
        help="fewer sizes, shorter repeats, and the usual rows unless --only names others: within a minute",
    )
    what.add_argument("--list", action="store_true", help="list the rows, and measure nothing")
    what.add_argument("--only", metavar="ROW,...", action="append", help="only these rows; globs such as 'mp.*' too")
    what.add_argument("--sizes", metavar="N,...", type=_sizes, help="message sizes, as in 8,64,1k,64k,1M")
    what.add_argument("--placement", choices=("same", "cross", "free"), help="one CPU; two cores (default); unpinned")
    what.add_argument("--repeats", metavar="N", type=_repeats, help="how often each figure is measured")
    what.add_argument("--seconds", metavar="S", type=_seconds, help="how long each figure of a repeat takes")
    what.add_argument("--also", metavar="MODULE", action="append", default=[], help="add the rows of a Python module")
    what.add_argument(
        "--servers",
        dest="run",
        action="store_const",
        const=bench_servers.run,
        help="compare the four servers of ipckit.server instead",
    )
    out = parser.add_argument_group("results, besides the table")
    out.add_argument("--json", metavar="FILE", help="everything, raw samples too; - is stdout, instead of the table")
    out.add_argument("--csv", metavar="FILE", help="one line for each figure; - is stdout, instead of the table")
    out.add_argument("--html", metavar="FILE", help="one page with plots, that works offline and prints; - as above")
    old = parser.add_argument_group("comparison")
    old.add_argument("--compare", metavar="OLD.json", help="say what differs from an earlier run beyond the noise")
    old.add_argument("--with", metavar="NEW.json", dest="new", help="compare with that run, and measure nothing")
    old.add_argument("--force", action="store_true", help="compare across machines, kernels or placements")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, write; return the exit status."""
    from ipckit.bench.engine import Engine

    if arguments.new and not arguments.compare:
        raise Failure("--with NEW.json needs --compare OLD.json", status=2)
    to_stdout = [f"--{form} -" for form in ("json", "csv", "html") if getattr(arguments, form) == "-"]
    if len(to_stdout) > 1:
        raise Failure(f"{' and '.join(to_stdout)} can't both go to stdout", status=2)
    if find_spec("rich") is None:
        raise Failure("the table needs the package rich: pip install 'ipckit[cli]'", status=2)
    if arguments.html and find_spec("matplotlib") is None:
        raise Failure("--html needs the package matplotlib for its plots: pip install 'ipckit[report]'", status=2)
    # Read first: to find out after minutes that the old file is no report would be late.
    old = _read(arguments.compare) if arguments.compare else None
    if old is not None and arguments.new:
        return _compare(old, _read(arguments.new), sys.stdout, force=arguments.force)
    rows, missing = _rows(arguments)
    if arguments.list:
        return _list(rows, missing)
    engine = Engine(rows, missing, _settings(arguments))
    if old is not None:
        _comparison(old, engine.report, force=arguments.force)  # another machine is refused now, not in minutes
    for path in (arguments.json, arguments.csv, arguments.html):
        _check_writable(path)
    status = _measure(engine)
    report = engine.report
    _write(report, arguments)
    if old is not None and status == 0:
        # What reads JSON, CSV or HTML from stdout takes nothing else.
        _compare(old, report, sys.stderr if to_stdout else sys.stdout, force=arguments.force)
    return status


def _measure(engine: Engine) -> int:
    from ipckit.bench.terminal import progress_bar

    try:
        with progress_bar(sys.stderr) as observe:
            engine.run(observe)
    except KeyboardInterrupt:
        return 130
    return 0


def _write(report: Report, arguments: argparse.Namespace) -> None:
    from ipckit.bench.page import to_html
    from ipckit.bench.spreadsheet import to_csv
    from ipckit.bench.terminal import print_report

    forms = ((arguments.json, Report.to_json), (arguments.csv, to_csv), (arguments.html, to_html))
    written, failed = [], []
    for path, form in forms:
        if path and path != "-":
            try:
                Path(path).write_text(form(report), encoding="utf-8")
                written.append(path)
            except OSError as error:  # what took minutes to measure is at least shown
                failed.append(f"{path}: {error.strerror}")
    to_stdout = [form for path, form in forms if path == "-"]
    if to_stdout:
        sys.stdout.write(to_stdout[0](report))
    else:
        print_report(report, sys.stdout)
    if written:
        print(f"Written: {', '.join(written)}", file=sys.stderr)
    if failed:
        raise Failure(f"could not write {', '.join(failed)}")


def _comparison(old: Report, new: Report, *, force: bool) -> Comparison:
    from ipckit.bench.compare import NotComparable, compare

    try:
        return compare(old, new, force=force)
    except NotComparable as error:
        raise Failure(str(error)) from None


def _compare(old: Report, new: Report, file: TextIO, *, force: bool) -> int:
    from ipckit.bench.terminal import print_comparison

    print_comparison(_comparison(old, new, force=force), file)
    return 0


def _read(path: str) -> Report:
    try:
        return Report.from_json(Path(path).read_text(encoding="utf-8"))
    except (ReportError, UnicodeDecodeError) as error:
        raise Failure(f"{path}: {error}") from None


def _rows(arguments: argparse.Namespace) -> tuple[list[type[Row]], dict[str, str]]:
    """The rows that --only selects, and those that can't be loaded."""
    from ipckit.bench.suite import load

    try:
        rows, missing = load(*arguments.also)
    except ImportError as error:
        raise Failure(f"--also: {error}", status=2) from None
    if arguments.only is None:
        wanted = {row.name for row in rows if row.name in QUICK_ROWS or row.__module__ in arguments.also}
        return [row for row in rows if row.name in wanted or not arguments.quick], missing
    patterns = [pattern.strip() for option in arguments.only for pattern in option.split(",") if pattern.strip()]
    if not patterns:
        raise Failure("--only names no row", status=2)
    names = [*(row.name for row in rows), *missing]
    for pattern in patterns:
        if not any(_matches(name, pattern) for name in names):
            raise Failure(f"--only: no row is called {pattern!r}; there are: {', '.join(names)}", status=2)
    return (
        [row for row in rows if any(_matches(row.name, pattern) for pattern in patterns)],
        {name: why for name, why in missing.items() if any(_matches(name, pattern) for pattern in patterns)},
    )


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name.lower(), pattern.lower())


def _list(rows: list[type[Row]], missing: dict[str, str]) -> int:
    width = max(len(name) for name in [*(row.name for row in rows), *missing])
    for row in rows:
        print(f"{row.name:{width}}  {row.about}")
    for name, why in missing.items():
        print(f"{name:{width}}  can't run: {why}")
    return 0


def _settings(arguments: argparse.Namespace) -> Settings:
    settings = QUICK if arguments.quick else FULL
    if arguments.sizes:
        trips = (nominal(arguments.sizes),) if arguments.quick else None
        settings = replace(settings, sizes=arguments.sizes, roundtrip_sizes=trips)
    if arguments.placement:
        settings = replace(settings, placement=arguments.placement)
    if arguments.repeats or arguments.seconds:
        # Whoever says how long wants just that.
        settings = replace(
            settings,
            repeats=arguments.repeats or settings.repeats,
            seconds=arguments.seconds or settings.seconds,
            limit=max(settings.limit, 50 * (arguments.seconds or 0)),
            budget=None,
        )
    return settings


def _check_writable(path: str | None) -> None:
    """To find out after minutes that the result can't be written would be late."""
    if path is not None and path != "-":
        with open(path, "a", encoding="utf-8"):
            pass


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({parse_size(part) for part in text.split(",") if part.strip()})) or (parse_size(text),)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _repeats(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"must be 1 to 1000, not {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 60:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most 60 seconds, not {text!r}")
    return seconds
