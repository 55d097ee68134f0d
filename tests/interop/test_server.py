"""Clients of a server that are not ours: socat, and plain sockets with framing made by hand."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.server import MODES, Server
from ipckit.sockets import inet, unix

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.interop.conftest import Program

    Start = Callable[..., Program]


def shout(message: bytes, peer: Any) -> bytes:
    return message.upper()


def framed(*messages: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(message)) + message for message in messages)


@pytest.mark.parametrize("mode", MODES)
def test_socat_asks_a_stream_server(mode: str, start: Start, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with Server(unix.Stream.listen(path), shout, mode=mode):
        program = start("socat", "-t", "20", "-", f"UNIX-CONNECT:{path}")
        assert program.finish(framed(b"one", b"", b"two" * 10_000)) == framed(b"ONE", b"", b"TWO" * 10_000)


@pytest.mark.parametrize("mode", MODES)
def test_socat_asks_a_seqpacket_server(mode: str, start: Start, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with Server(unix.SeqPacket.listen(path), shout, mode=mode):
        program = start("socat", "-t", "20", "-", f"UNIX-CONNECT:{path},type=5")
        assert program.finish(b"one packet") == b"ONE PACKET"


@pytest.mark.parametrize("mode", MODES)
def test_a_plain_socket_asks_a_tcp_server(mode: str) -> None:
    listener = inet.Stream.listen(("127.0.0.1", 0))
    address = listener.address
    with Server(listener, shout, mode=mode), socket.create_connection(address, timeout=20) as client:
        client.sendall(framed(b"one", b"two")[:-1])
        with client.makefile("rb") as replies:
            assert replies.read(7) == framed(b"ONE")
            client.sendall(b"o")
            client.shutdown(socket.SHUT_WR)
            assert replies.read() == framed(b"TWO")
