"""Clients that are called back: servers of a program whose number is theirs for a while."""

from __future__ import annotations

from pathlib import Path

import pytest

from ipckit import rpc
from ipckit.rpc import Call, portmapper, xdr
from ipckit.rpc.rpcbind import Rpcbind, universal
from tests.rpc.serving import MODES, SECONDS

CHANGED = rpc.Procedure(1, "changed", (str,))
WATCH = rpc.Procedure(1, "watch", (xdr.UInt, xdr.UInt))
WRITE = rpc.Procedure(2, "write", (str,), int)


class Watcher(rpc.Service):
    """What a client of the board serves."""

    PROGRAM, VERSION, PROCEDURES = 0x40000000, 1, (CHANGED,)

    def __init__(self) -> None:
        self.seen: list[str] = []

    def changed(self, text: str) -> None:
        self.seen.append(text)


class WatcherClient(rpc.Stub):
    SERVICE = Watcher

    def changed(self, text: str, *, timeout: float | None = None) -> None:
        self._call("changed", (text,), timeout)


class Board(rpc.Service):
    PROGRAM, VERSION, PROCEDURES = 0x20000078, 1, (WATCH, WRITE)

    def __init__(self) -> None:
        self.watchers: list[WatcherClient] = []

    def watch(self, program: int, port: int, *, call: Call) -> None:
        host = call.peer.address[0]  # type: ignore[index]
        client = rpc.Client.connect_tcp(host, port, program, Watcher.VERSION, timeout=SECONDS)
        self.watchers.append(WatcherClient(client))

    def write(self, text: str) -> int:
        for watcher in self.watchers:
            watcher.changed(text, timeout=SECONDS)
        return len(self.watchers)


@pytest.mark.parametrize("watchers_mode", MODES)
def test_a_client_is_called_while_it_calls(watchers_mode: str) -> None:
    board = Board()
    server = rpc.Server(board)
    host, port = server.listen_tcp("127.0.0.1")[:2]
    watchers = [Watcher().as_program(rpc.transient_program()) for _ in range(2)]
    callers = [rpc.Server(watcher, mode=watchers_mode) for watcher in watchers]
    own_ports = [caller.listen_tcp("127.0.0.1")[1] for caller in callers]
    with server, callers[0], callers[1], rpc.Client.connect_tcp(host, port, Board.PROGRAM, 1) as client:
        for watcher, own_port in zip(watchers, own_ports, strict=True):
            client.call(WATCH, watcher.PROGRAM, own_port, timeout=SECONDS)
        assert client.call(WRITE, "hello", timeout=SECONDS) == 2
        assert [watcher.seen for watcher in watchers] == [["hello"], ["hello"]]
        for stub in board.watchers:
            stub.close()


def test_the_number_is_of_the_range_and_of_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = {rpc.transient_program() for _ in range(50)}
    assert len(numbers) > 40
    assert all(0x40000000 <= number < 0x60000000 for number in numbers)
    path = str(tmp_path / "rpcbind.sock")
    monkeypatch.setattr("ipckit.rpc.transient.TRANSIENT", range(0x40000000, 0x40000003))
    with portmapper.serve(path=path, port=0), Rpcbind.connect(path=path, timeout=SECONDS) as mapper:
        mapper.set(0x40000000, 1, "tcp", universal("127.0.0.1", 1))
        mapper.set(0x40000002, 7, "udp", universal("127.0.0.1", 2))
        assert {rpc.transient_program(mapper, timeout=SECONDS) for _ in range(20)} == {0x40000001}


def test_a_service_is_renumbered_alone() -> None:
    one, other = Watcher().as_program(0x40000007), Watcher()
    assert (one.PROGRAM, other.PROGRAM, Watcher.PROGRAM) == (0x40000007, 0x40000000, 0x40000000)
    for number in (-1, 1 << 32):
        with pytest.raises(ValueError, match="program must be"):
            one.as_program(number)


def test_a_stub_takes_a_client_of_a_transient_program_in_its_version_alone() -> None:
    with rpc.Client.connect_udp("127.0.0.1", 9, 0x40000009, 1) as client:
        WatcherClient(client)
    for program, version in ((0x40000009, 2), (0x20000009, 1)):
        with (
            rpc.Client.connect_udp("127.0.0.1", 9, program, version) as client,
            pytest.raises(ValueError, match="calls"),
        ):
            WatcherClient(client)
