"""The parts of a run: in each, rows that answer the same question are measured in turns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ipckit.bench.settings import Settings
from ipckit.bench.suite import load, rows_of

if TYPE_CHECKING:
    from ipckit.bench.row import Row

PEERS = {
    "faster-fifo": "fifo",
    "iceoryx2": "iceoryx",
    "pynng": "nng",
    "pyzmq": "zeromq",
    "rpyc": "rpyc",
    "xdrlib3": "xdrlib3",
}
"""Packages, and the modules of their rows."""

_OURS = ("ipckit_spsc", "ipckit_mpmc", "ipckit_queue", "ipckit_broadcast")
_COMMON = ("standard", "futex", "xmlrpc", "libtirpc")
_STREAMS = ("mp.Queue", "mp.Pipe", "os.pipe (bare)")
_LOCKS = (
    "sync.Mutex",
    "mp.Lock",
    "posix_ipc sem (bare)",
    "sync.Event",
    "mp.Event",
    "sync.Condition",
    "mp.Condition",
    "sync.Barrier",
    "mp.Barrier",
)
_MIB = 1 << 20


@dataclass(frozen=True)
class Part:
    """One question, or some that the same rows answer."""

    name: str
    title: str
    settings: Settings
    installed: tuple[str, ...] = ()
    """Rows of the installed suite, besides its rings."""


def parts(*, quick: bool) -> list[Part]:
    """All of them; *quick* ones are for a first look: together they take less than three minutes."""
    usual = Settings(repeats=11, seconds=0.05, limit=30.0)
    if quick:
        usual = Settings(repeats=5, least_repeats=1, seconds=0.02, limit=15.0, wakeups=30, idle=0.5)

    def settings(*measures: str, budget: float, **changes: Any) -> Settings:
        return replace(usual, measures=measures, budget=budget if quick else None, **changes)

    return [
        Part(
            "one-way",
            "One way, two processes on two CPUs",
            settings("throughput", "beside", budget=32, sizes=(8, 64, 1024, 65536, _MIB)),
            _STREAMS,
        ),
        Part(
            "latency",
            "There and back, two processes on two CPUs",
            settings("roundtrip", "asleep", budget=20, sizes=(8,)),
            _STREAMS,
        ),
        Part(
            "one-cpu",
            "There and back, both processes on one CPU",
            settings("roundtrip", budget=12, sizes=(8,), placement="same"),
            _STREAMS,
        ),
        Part("idle", "What waiting costs", settings("idle", budget=1, sizes=(8,), repeats=3), _STREAMS),
        Part("dicts", "Objects", settings("objects", budget=8)),
        Part("arrays", "Arrays", settings("array", budget=15, sizes=(_MIB, 64 * _MIB), limit=60.0)),
        Part("many", "Many producers, many consumers", settings("crowd", budget=14, sizes=(64,))),
        Part("broadcast", "One writer, many readers", settings("fan cost", "fan rate", budget=18, sizes=(64,))),
        Part(
            "xdr",
            "Structs as XDR",
            settings("encode", "decode", budget=6),
            ("rpc.xdr.codec", "rpc.xdr.Packer", "xdrlib"),
        ),
        Part(
            "rpc",
            "Remote procedure calls, two processes on two CPUs",
            settings("calls", "call", budget=12),
            ("rpc unix", "rpc TCP", "rpc UDP"),
        ),
        Part("locks", "Locks and events", settings("pair", "handoff", "wakeup", budget=8, sizes=(8,)), _LOCKS),
    ]


def missing_peers(left_out: tuple[str, ...] = ()) -> dict[str, str]:
    """The packages whose rows can't be loaded, and why."""
    missing = {}
    for package, module in PEERS.items():
        if package not in left_out:
            try:
                import_module(f"{__package__}.rows.{module}")
            except ImportError as error:
                missing[package] = str(error)
    return missing


def rows_for(part: Part, left_out: tuple[str, ...] = ()) -> tuple[list[type[Row]], dict[str, str]]:
    """The rows that answer *part*, and the modules of ours that can't be loaded, with the reason."""
    installed, missing = load()
    rows = [row for row in installed if row.name in part.installed or _is_ring(row, part)]
    if part.name == "locks":  # no other peer has any, and the streams among them are of other parts
        return rows + rows_of(f"{__package__}.rows.pthread_mutex"), {}
    modules = [*_COMMON, *(module for package, module in PEERS.items() if package not in left_out)]
    for module in modules:
        rows += rows_of(f"{__package__}.rows.{module}")
    for module in _OURS:
        try:
            rows += rows_of(f"{__package__}.rows.{module}")
        except ImportError as error:
            missing[module] = str(error)
    return [row for row in rows if _answers(row, part)], {name: missing[name] for name in missing if name in _OURS}


def _is_ring(row: type[Row], part: Part) -> bool:
    return row.family == "ring" and "pair" not in (part.settings.measures or ())


def _answers(row: type[Row], part: Part) -> bool:
    from ipckit.bench.quantity import BY_KEY

    return any(row.answers(BY_KEY[key]) for key in part.settings.measures or ())
