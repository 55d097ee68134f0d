"""Which of the four servers, for how many connections? Requests per second, round trips, processor time, memory.

The server is one process (and what it forks); the load comes from one or two others over a Unix socket, a question of
64 B on every connection at a time. Nothing is pinned: a server of many processes is meant to use them all.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
from array import array
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from multiprocessing import connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from ipckit.bench.server_load import CONNECT_SECONDS, answer, load, need_descriptors, serve
from ipckit.bench.team import MeasurementFailed, TimedOut, interrupts_held_back, tracker
from ipckit.errors import IPCError
from ipckit.server import MODES

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from typing_extensions import Self

CONNECTIONS = (1, 100, 1000)
FORMAT = "ipckit-bench-servers"
_GRACE = 10.0
_WARM_UP = 0.1  # s


@dataclass(frozen=True)
class Load:
    """How long is measured."""

    seconds: float
    repeats: int


QUICK = Load(0.3, 1)
FULL = Load(1.5, 5)


@dataclass
class ServerCell:
    """One server and one number of connections: a sample for each repeat, or the reason why there is none."""

    mode: str
    connections: int
    active: int
    """On how many of them questions are asked at a time; the rest is idle."""
    requests_per_second: list[float] = field(default_factory=list)
    p50_ns: list[float] = field(default_factory=list)
    p99_ns: list[float] = field(default_factory=list)
    cpu_ns: list[float] = field(default_factory=list)
    """The server's processor time for a request."""
    memory_bytes: list[float] = field(default_factory=list)
    """Of the server and its children; what they share counts once (PSS)."""
    reason: str = ""

    def median(self, name: str) -> float:
        """The median of a quantity's samples."""
        samples: list[float] = getattr(self, name)
        return statistics.median(samples)


class Hand:
    """A process that does what it is told over a pipe, and ends when that is hung up."""

    def __init__(self, task: Callable[..., None], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._control: Connection[Any, Any]
        self._control, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(target=answer, args=(theirs, task, *arguments), daemon=True)
        try:
            with interrupts_held_back():
                self._process.start()
        except BaseException:
            self._control.close()
            raise
        finally:
            theirs.close()

    def tell(self, *order: Any) -> None:
        """Send an order."""
        try:
            self._control.send(order)
        except ConnectionError:
            raise MeasurementFailed("a measuring process died") from None

    def result(self, seconds: float, *others: Hand) -> Any:
        """Its answer; a failure of one of the *others* counts as well, for it is the likely cause."""
        hands = [self, *others]
        ready = connection.wait([hand._control for hand in hands], seconds)
        for hand in sorted(hands, key=lambda hand: hand is self):
            if hand._control not in ready:
                continue
            try:
                verdict, value = hand._control.recv()
            except (EOFError, OSError):
                raise MeasurementFailed("a measuring process died") from None
            if verdict == "error":
                raise MeasurementFailed(value)
            return value
        raise TimedOut(f"no answer within {seconds:g} s")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._control.close()
        self._process.join(_GRACE)
        self._process.kill()
        self._process.join()
        self._process.close()


def new_cells(numbers: tuple[int, ...] = CONNECTIONS) -> list[ServerCell]:
    """What there is to measure, for these *numbers* of connections, the largest one last."""
    amounts = [(number, number) for number in numbers] + [(numbers[-1], 1)]
    return [ServerCell(mode, connections, active) for mode in MODES for connections, active in amounts]


def measure(cells: list[ServerCell], amount: Load, observe: Callable[[float, str], None]) -> None:
    """Fill the cells, repeat by repeat, so that a disturbance meets all of them.

    Args:
        observe: called with the share that is done, and what comes next.
    """
    groups = [[cell for cell in cells if (cell.mode, cell.connections) == key] for key in _keys(cells)]
    with tracker(), ExitStack() as hands:
        clients: list[Hand] = []
        for repeat in range(amount.repeats):
            for index, group in enumerate(groups):
                done = (repeat * len(groups) + index) / (amount.repeats * len(groups))
                observe(done, f"{group[0].mode}, {group[0].connections} connections")
                if not _may(group):
                    continue
                missing = range(len(clients), min(2, group[0].connections))
                clients.extend(hands.enter_context(Hand(load)) for _ in missing)
                try:
                    _visit(group, clients, amount.seconds)
                except MeasurementFailed as error:
                    clients.clear()  # whichever of them failed
                    for cell in group:
                        cell.reason = str(error)


def to_json(cells: list[ServerCell], environment: dict[str, str], amount: Load) -> str:
    """Everything, raw samples too."""
    whole = {
        "format": FORMAT,
        "environment": environment,
        "settings": asdict(amount),
        "cells": [asdict(cell) for cell in cells],
    }
    return json.dumps(whole, indent=1) + "\n"


def _may(group: list[ServerCell]) -> bool:
    """Whether these cells can be measured, as far as that is known beforehand."""
    try:
        need_descriptors(group[0].connections)  # the processes will ask for as many
    except IPCError as error:
        for cell in group:
            cell.reason = str(error)
    return not group[0].reason


def _keys(cells: list[ServerCell]) -> list[tuple[str, int]]:
    return list(dict.fromkeys((cell.mode, cell.connections) for cell in cells))


def _visit(group: list[ServerCell], clients: list[Hand], seconds: float) -> None:
    """One repeat of the cells that have the same server and the same connections."""
    mode, connections = group[0].mode, group[0].connections
    with Hand(serve, mode, connections) as server:
        pid, address = server.result(CONNECT_SECONDS)
        clients = clients[: min(2, connections)]
        for index, client in enumerate(clients):
            client.tell("connect", address, (connections + index) // len(clients))
        for client in clients:
            client.result(CONNECT_SECONDS, server)
        for cell in group:
            _take_sample(cell, server, clients if cell.active > 1 else clients[:1], pid, seconds)


def _take_sample(cell: ServerCell, server: Hand, clients: list[Hand], pid: int, seconds: float) -> None:
    _ask(server, clients, cell.active, _WARM_UP)
    before_ns = _cpu_ns(pid)
    in_time, trips = _ask(server, clients, cell.active, seconds)
    used_ns = _cpu_ns(pid) - before_ns
    ordered = sorted(trips)
    cell.requests_per_second.append(in_time / seconds)
    cell.p50_ns.append(ordered[len(ordered) // 2])
    cell.p99_ns.append(ordered[len(ordered) * 99 // 100])
    cell.cpu_ns.append(used_ns / len(trips))
    cell.memory_bytes.append(_memory_bytes(pid))


def _ask(server: Hand, clients: list[Hand], active: int, seconds: float) -> tuple[int, array[int]]:
    count, trips = 0, array("Q")
    for client in clients:
        client.tell("ask", active, seconds)
    for client in clients:
        in_time, raw = client.result(seconds + CONNECT_SECONDS, server)
        count += in_time
        trips.frombytes(raw)
    return count, trips


def _family(pid: int) -> list[int]:
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]


def _cpu_ns(pid: int) -> int:
    """The processor time of a server and its children so far; proc_pid_stat(5) counts too coarsely for short ones."""
    threads = (thread for member in _family(pid) for thread in Path(f"/proc/{member}/task").glob("*/schedstat"))
    return sum(int(thread.read_text().split()[0]) for thread in threads)


def _memory_bytes(pid: int) -> int:
    return sum(_pss(member) for member in _family(pid))


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
