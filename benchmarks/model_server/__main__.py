"""``python -m benchmarks.model_server``: both ways, measured in turn, printed beside each other."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.model_server.crew import Crew
from benchmarks.model_server.phases import KIB, churn, idle, latency, throughput
from benchmarks.model_server.plain import Plain
from benchmarks.model_server.ring import Ring

if TYPE_CHECKING:
    from benchmarks.model_server.transport import Transport

SIZES = (200, 4 * KIB, 64 * KIB, 1024 * KIB, 4096 * KIB)
CAPACITY = 32 << 20  # bytes
TRANSPORTS: dict[str, type[Transport]] = {"ring": Ring, "plain": Plain}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.model_server", description=__doc__)
    parser.add_argument("--workers", type=int, default=8, metavar="N", help="default: 8")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), metavar="N,...", help="bytes of a message")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure; default: 3")
    parser.add_argument("--kill-every", type=float, default=0.5, metavar="S", help="seconds; default: 0.5")
    parser.add_argument("--only", choices=TRANSPORTS, help="only one of the two")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    return parser.parse_args()


def measure(transport: type[Transport], options: argparse.Namespace, sizes: list[int]) -> dict[str, Any]:
    """All figures of one way."""
    figures: dict[str, Any] = {"latency_us": {}, "messages_per_s": {}}
    crew = Crew(transport, options.workers, max(sizes), CAPACITY)
    try:
        figures["idle_percent"] = idle(crew, options.seconds)
        for size in sizes:
            count = max(5, int(options.seconds / 0.02))
            figures["latency_us"][size] = latency(crew, size, count, 0.02)._asdict()
            figures["messages_per_s"][size] = throughput(crew, size, options.seconds)
        crew.stop()
    finally:
        crew.close()
    crew = Crew(transport, options.workers, max(sizes), CAPACITY, thorough=True)
    try:
        figures["churn"] = churn(crew, 2 * options.seconds, options.kill_every, max(sizes))._asdict()
        crew.stop()
    finally:
        crew.close()
    return figures


def print_table(results: dict[str, dict[str, Any]], sizes: list[int]) -> None:
    """One column for each way."""
    titles = [TRANSPORTS[name].title for name in results]
    print(f"{'':34}" + "".join(f"{title:>20}" for title in titles))

    def row(what: str, values: list[str]) -> None:
        print(f"{what:34}" + "".join(f"{value:>20}" for value in values))

    row("idle, CPU of all workers", [f"{its['idle_percent']:.1f} %" for its in results.values()])
    for size in sizes:
        what = f"{size / KIB:.0f} KiB" if size >= KIB else f"{size} B"
        trips = [its["latency_us"][size] for its in results.values()]
        row(f"{what}: latency p50", [f"{trip['p50']:,.0f} us" for trip in trips])
        row(f"{what}: latency p99", [f"{trip['p99']:,.0f} us" for trip in trips])
        row(f"{what}: throughput", [f"{its['messages_per_s'][size]:,.0f} msg/s" for its in results.values()])
    for key, unit in (("messages", ""), ("killed", ""), ("replaced", ""), ("checked", ""), ("longest_send_ms", " ms")):
        row(
            f"with deaths: {key.removesuffix('_ms').replace('_', ' ')}",
            [f"{its['churn'][key]:,.0f}{unit}" for its in results.values()],
        )


def main() -> int:
    """Measure and print."""
    options = arguments()
    sizes = [int(size) for size in options.sizes.split(",")]
    names = [options.only] if options.only else list(TRANSPORTS)
    where = f"Python {platform.python_version()}, Linux {platform.release()}, {len(os.sched_getaffinity(0))} CPUs"
    print(f"{where}; 1 scheduler, {options.workers} workers, {CAPACITY >> 20} MiB", flush=True)
    results = {name: measure(TRANSPORTS[name], options, sizes) for name in names}
    print_table(results, sizes)
    if options.json:
        options.json.write_text(json.dumps({"where": where, "workers": options.workers, "results": results}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
