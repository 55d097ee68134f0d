"""The command: ipckit and its peers in one run."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from fnmatch import fnmatchcase
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers.parts import PEERS, Part, missing_peers, parts, rows_for
from benchmarks.peers.table import print_part, print_verdicts
from benchmarks.peers.targets import judge_all
from ipckit.bench.engine import Engine
from ipckit.bench.terminal import progress_bar
from ipckit.bench.units import parse_size

if TYPE_CHECKING:
    from ipckit.bench.report import Report
    from ipckit.bench.row import Row

RESULTS = Path(__file__).parent.parent / "results"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description="ipckit and its peers in one run")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter repeats: under three minutes")
    parser.add_argument(
        "--parts", metavar="PART,...", help="only these: " + ", ".join(p.name for p in parts(quick=True))
    )
    parser.add_argument("--without", metavar="PEER,...", default="", help="leave peers out: " + ", ".join(PEERS))
    parser.add_argument("--only", metavar="ROW,...", help="only these rows; globs such as 'mp.*' too")
    parser.add_argument("--sizes", metavar="N,...", help="these sizes, as in 8,64k,1M, instead of those of each part")
    parser.add_argument("--repeats", type=int, help="how often each figure is measured")
    parser.add_argument("--seconds", type=float, help="how long each figure of a repeat takes")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the JSON files, one for each part")
    return parser.parse_args()


def main() -> int:
    """Measure, print, write; return the exit status: 1 if a peer is missing or could not be measured."""
    options = arguments()
    left_out = tuple(name for name in options.without.split(",") if name)
    if unknown := set(left_out) - set(PEERS):
        sys.exit(f"--without: no peer is called {', '.join(sorted(unknown))}; there are: {', '.join(PEERS)}")
    chosen = _chosen(options)
    if missing := missing_peers(left_out):
        for package, why in missing.items():
            print(f"{package} can't be measured: {why}", file=sys.stderr)
        print("install benchmarks/peers/requirements.txt, or leave it out: --without NAME", file=sys.stderr)
        return 1
    if options.only and not any(_rows(part, left_out, options.only)[0] for part in chosen):
        sys.exit(f"--only: no row is called {options.only}")
    for name, why in rows_for(parts(quick=True)[0], left_out)[1].items():
        print(f"{name} can't be loaded, so nothing of it is measured: {why}", file=sys.stderr)
    options.out.mkdir(parents=True, exist_ok=True)
    reports: dict[str, Report] = {}
    failed = []
    for part in chosen:
        report = _measure(part, left_out, options.only)
        reports[part.name] = report
        (options.out / f"{part.name}.json").write_text(report.to_json(), encoding="utf-8")
        print_part(part, report, sys.stdout)
        sys.stdout.flush()
        failed += _unmeasured(report)
        if report.interrupted:
            break
    verdicts = judge_all(reports)
    print_verdicts(verdicts, sys.stdout)
    text = json.dumps([asdict(verdict) for verdict in verdicts], indent=1) + "\n"
    (options.out / "targets.json").write_text(text, encoding="utf-8")
    for line in failed:
        print(line, file=sys.stderr)
    if any(report.interrupted for report in reports.values()):
        return 130
    return 1 if failed else 0


def _chosen(options: argparse.Namespace) -> list[Part]:
    chosen = parts(quick=options.quick)
    if options.parts:
        names = options.parts.split(",")
        if unknown := set(names) - {part.name for part in chosen}:
            sys.exit(f"--parts: no part is called {', '.join(sorted(unknown))}")
        chosen = [part for part in chosen if part.name in names]
    changes: dict[str, Any] = {
        key: value for key in ("repeats", "seconds") if (value := getattr(options, key)) is not None
    }
    if options.sizes:
        try:
            changes["sizes"] = tuple(sorted({parse_size(size) for size in options.sizes.split(",")}))
        except ValueError as error:
            sys.exit(f"--sizes: {error}")
    return [replace(part, settings=replace(part.settings, **changes)) for part in chosen]


def _rows(part: Part, left_out: tuple[str, ...], only: str | None) -> tuple[list[type[Row]], dict[str, str]]:
    rows, missing = rows_for(part, left_out)
    patterns = only.split(",") if only else ["*"]
    return [row for row in rows if any(fnmatchcase(row.name, pattern) for pattern in patterns)], missing


def _measure(part: Part, left_out: tuple[str, ...], only: str | None) -> Report:
    rows, missing = _rows(part, left_out, only)
    engine = Engine(rows, {}, part.settings)
    engine.report.environment["peers"] = ", ".join(f"{name} {_version(name)}" for name in (*PEERS, "numpy"))
    engine.report.settings["command"] = " ".join(["python -m benchmarks.peers", *sys.argv[1:]])
    if missing:
        engine.report.environment["not there"] = "; ".join(f"{name}: {why}" for name, why in missing.items())
    engine.report.notices += [f"{name} was left out, as asked for" for name in left_out]
    try:
        with progress_bar(sys.stderr) as observe:
            engine.run(lambda done, text: observe(done, f"{part.name}: {text}"))
    except KeyboardInterrupt:
        pass  # the report says so
    return engine.report


def _unmeasured(report: Report) -> list[str]:
    """The peers of which a part has no figure at all, though there are rows of them."""
    cells = [cell for cell in report.cells if report.rows[cell.row]["family"] in PEERS]
    measured = {cell.row for cell in cells if cell.counts}
    found = {cell.row: cell.reason for cell in cells if cell.row not in measured and cell.reason}
    return [f"{row} could not be measured: {why}" for row, why in found.items()]


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"
