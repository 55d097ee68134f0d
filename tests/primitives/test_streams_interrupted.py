"""No exception of a signal handler, whenever it comes, puts a stream of messages out of step: signal(7)."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import Pipe, pipe
from ipckit._writing_lane import CffiLane
from ipckit.errors import TimeoutExpired
from ipckit.pty import PseudoTerminal
from ipckit.sockets import _base, _bytes
from ipckit.sockets.unix import Stream
from tests.primitives.interrupting import interrupted

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 20
LARGE = bytes(range(256)) * 128  # more than what any of them holds here


def a_pipe() -> tuple[Any, Any]:
    return Pipe.create(capacity=4096)


def a_stream() -> tuple[Any, Any]:
    return Stream.pair()


def a_terminal() -> tuple[Any, Any]:
    return PseudoTerminal.create(raw=True)


STREAMS: dict[str, Callable[[], tuple[Any, Any]]] = {"pipe": a_pipe, "stream": a_stream, "terminal": a_terminal}


@pytest.fixture(params=["compiled", "python"])
def lanes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "python":
        for module in (pipe, _base):
            monkeypatch.setattr(module, "lane_of", CffiLane)
        for module in (pipe, _bytes):
            monkeypatch.setattr(module, "reading_lane_of", lambda *_, **__: None)


@pytest.fixture(params=STREAMS)
def make(request: pytest.FixtureRequest, lanes: None) -> Callable[[], tuple[Any, Any]]:
    return STREAMS[request.param]


def received(reader: Any) -> list[bytes]:
    """All messages up to the one that says so."""
    messages: list[bytes] = []
    while not messages or messages[-1] != b"end":
        messages.append(reader.receive(timeout=PATIENCE))
    return messages


def was_interrupted(moment: int, action: Callable[[], object]) -> bool:
    """As `interrupted`, of what also may have no time."""

    def act() -> None:
        with contextlib.suppress(TimeoutExpired):
            action()

    return interrupted(moment, act, "ipckit")


@pytest.mark.parametrize("first", [b"", b"first", LARGE[:3000]], ids=len)
def test_a_receive_that_is_interrupted_loses_no_part_of_a_message(
    make: Callable[[], tuple[Any, Any]], first: bytes
) -> None:
    for moment in count(1):
        reader, writer = make()
        with reader, writer:
            for message in (first, b"second", b"end"):
                writer.send(message)
            got: list[bytes] = []
            there_was_one = was_interrupted(moment, lambda: got.append(reader.receive(timeout=PATIENCE)))  # noqa: B023
            got += received(reader)
            # What receive returned in that very moment is lost, and whole.
            assert got in ([first, b"second", b"end"], [b"second", b"end"]), moment
        if not there_was_one:
            return


@pytest.mark.parametrize("cut", [1, 4, 7])
def test_a_receive_that_is_interrupted_keeps_a_part_that_came(make: Callable[[], tuple[Any, Any]], cut: int) -> None:
    framed = b"\0\0\0\5first"
    for moment in count(1):
        reader, writer = make()
        with reader, writer:
            writer.write(framed[:cut])
            there_was_one = was_interrupted(moment, lambda: reader.receive(timeout=0))  # noqa: B023
            writer.write(framed[cut:])
            writer.send(b"end")
            assert received(reader) == [b"first", b"end"], moment
        if not there_was_one:
            return


@pytest.mark.parametrize("verb", ["send", "flush"])
def test_a_send_that_is_interrupted_leaves_a_message_out_or_sends_all_of_it(
    make: Callable[[], tuple[Any, Any]], verb: str
) -> None:
    for moment in count(1):
        reader, writer = make()
        with reader, writer:
            if isinstance(writer, Stream):
                writer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 0)  # the least that there is
            if verb == "send":
                there_was_one = was_interrupted(moment, lambda: writer.send(LARGE, timeout=0))  # noqa: B023
            else:
                with pytest.raises(TimeoutExpired):
                    writer.send(LARGE, timeout=0)
                with pytest.raises(TimeoutExpired):
                    reader.receive(timeout=0)  # it keeps what came, and makes room
                there_was_one = was_interrupted(moment, lambda: writer.flush(timeout=0))  # noqa: B023
            thread = threading.Thread(target=writer.send, args=(b"end", PATIENCE))
            thread.start()
            got = received(reader)
            thread.join()
            assert got == [LARGE, b"end"] or (verb == "send" and got == [b"end"]), moment
        if not there_was_one:
            return


def test_a_transfer_that_is_interrupted_lets_go_of_both_sides(lanes: None) -> None:
    for moment in count(1):
        (source, filling), (target, reading) = a_pipe(), a_stream()
        with source, filling, target, reading:
            filling.write(b"some")
            there_was_one = was_interrupted(moment, lambda: source.splice_to(target, 4, timeout=0))  # noqa: B023
            filling.write(b"more")
            assert source.read(1, timeout=PATIENCE)
            target.send(b"end", timeout=PATIENCE)
            descriptors = source.fileno(), target.fileno()
        for fd in descriptors:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(fd)
        if not there_was_one:
            return
