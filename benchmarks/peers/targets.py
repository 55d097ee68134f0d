"""What ipckit is to reach, and whether it did: the list of its promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.peers.verdicts import Figure, Reports, Verdict, at_most, bandwidth, kept, steady, times

if TYPE_CHECKING:
    from collections.abc import Callable


def _one_way() -> list[Callable[[Reports], Verdict]]:
    wanted = {
        8: {"mp.Queue": 12, "faster-fifo": 7, "pyzmq": 2, "iceoryx2": 6, "os.pipe (bare)": 1.3},
        64: {"mp.Queue": 15, "faster-fifo": 9, "pyzmq": 2.5, "iceoryx2": 7, "os.pipe (bare)": 1.5},
        1024: {"mp.Queue": 8, "faster-fifo": 6, "pyzmq": 2.5, "os.pipe (bare)": 2},
    }
    judges = [
        times(Figure("one-way", "throughput", size, "SpscRing"), peer, factor)
        for size, factors in wanted.items()
        for peer, factor in factors.items()
    ]
    judges.append(times(Figure("one-way", "throughput", 64, "SpscRing x100"), "faster-fifo x100", 9))
    judges += [bandwidth(Figure("one-way", "throughput", size, "SpscRing"), 9) for size in (65536, 1 << 20)]
    rows = (
        "SpscRing",
        "MpmcRing",
        "mp.Queue",
        "mp.Pipe",
        "faster-fifo",
        "pyzmq",
        "iceoryx2",
        "pynng",
        "os.pipe (bare)",
    )
    return judges + [kept(row) for row in rows]


def _latency() -> list[Callable[[Reports], Verdict]]:
    trip = Figure("latency", "roundtrip", 8, "SpscRing")
    return [
        at_most(trip, 1200),
        times(trip, "iceoryx2", 4),
        times(trip, "os.pipe (bare)", 50),
        times(Figure("one-cpu", "roundtrip", 8, "SpscRing"), "os.pipe (bare)", 1 / 1.2),
        times(Figure("latency", "asleep", None, "SpscRing"), "futex (bare)", 1 / 1.1),
        at_most(Figure("idle", "idle", None, "SpscRing"), 0.5),
    ]


def _many() -> list[Callable[[Reports], Verdict]]:
    judges = []
    for pairs in (1, 2, 4):
        ours = Figure("many", "crowd", pairs, "MpmcRing")
        judges += [times(ours, "faster-fifo", 5), times(ours, "mp.Queue", 8)]
    judges.append(steady("many", "crowd", "MpmcRing", (1, 4), 0.8, rising=False))
    readers = (1, 2, 4, 8)
    judges.append(steady("broadcast", "fan cost", "BroadcastRing", readers, 1.1))
    return judges + [
        times(Figure("broadcast", "fan cost", number, "BroadcastRing"), one_each, number)
        for one_each in ("mp.Queue each", "faster-fifo each", "SpscRing each")
        for number in readers
    ]


def _content() -> list[Callable[[Reports], Verdict]]:
    dicts = Figure("dicts", "objects", None, "ring.Queue")
    mib = 1 << 20
    return [
        times(dicts, "mp.Queue", 2),
        times(dicts, "faster-fifo", 2),
        times(dicts, "pyzmq", 1.3),
        steady("arrays", "array", "SpscRing", (mib, 64 * mib), 1.1),
        *(times(Figure("arrays", "array", size, "SpscRing"), "iceoryx2", 1) for size in (mib, 64 * mib)),
    ]


def _locks() -> list[Callable[[Reports], Verdict]]:
    return [
        times(Figure("locks", "pair", None, "sync.Mutex"), "posix_ipc sem (bare)", 1.5),
        times(Figure("locks", "handoff", None, "sync.Mutex"), "mp.Lock", 1.05),
        *(
            times(Figure("locks", "wakeup", None, f"sync.{kind}"), f"mp.{kind}", 2.5)
            for kind in ("Condition", "Event", "Barrier")
        ),
    ]


def _xdr() -> list[Callable[[Reports], Verdict]]:
    return [
        times(Figure("xdr", key, None, "rpc.xdr.codec"), peer, 3)
        for key in ("encode", "decode")
        for peer in ("xdrlib3", "xdrlib")
    ]


def _rpc() -> list[Callable[[Reports], Verdict]]:
    wanted = {
        "rpc unix": {"rpyc unix": 3, "libtirpc unix": 1 / 3},
        "rpc TCP": {"rpyc TCP": 3, "xmlrpc": 3, "libtirpc TCP": 1 / 3},
        "rpc UDP": {"libtirpc UDP": 1 / 3},
    }
    return [
        times(Figure("rpc", "call", size, row), peer, factor)
        for row, factors in wanted.items()
        for peer, factor in factors.items()
        for size in (0, 1024)
    ]


def judge_all(reports: Reports) -> list[Verdict]:
    """The verdicts of all parts that *reports* has."""
    judges = [*_one_way(), *_latency(), *_content(), *_many(), *_locks(), *_xdr(), *_rpc()]
    verdicts = [judge(reports) for judge in judges]
    return [verdict for verdict in verdicts if verdict.part in reports]
