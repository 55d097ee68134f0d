"""Servers that know no library: they do what the number of the procedure says, for clients that are to be tried."""

from __future__ import annotations

import os
import select
import signal
import struct
from typing import TYPE_CHECKING

from ipckit.testing import pause, reached

if TYPE_CHECKING:
    from ipckit.sockets import inet, unix

NULL, ECHO, HOLD, LET_GO, NEVER, DRIBBLE, CLOSE, VERBATIM, DIE, TWICE, RAW, CREDENTIAL, CUT, COUNT = range(14)
LAST = 1 << 31


def words(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def success(xid: int, result: bytes) -> bytes:
    return words(xid, 1, 0, 0, 0, 0) + result


def take_call(message: bytes) -> tuple[int, int, bytes, bytes]:
    """Xid, procedure, credential as it stands there, arguments."""
    xid, kind, rpc_version, _, _, procedure, _, size = struct.unpack_from(">8I", message)
    assert (kind, rpc_version) == (0, 2)
    end = 32 + size + -size % 4
    verifier_size = struct.unpack_from(">I", message, end + 4)[0]
    return xid, procedure, message[24:end], message[end + 8 + verifier_size + -verifier_size % 4 :]


def record(message: bytes) -> bytes:
    return words(len(message) | LAST) + message


def read_exactly(connection: unix.Stream | inet.Stream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.read(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def serve(connection: unix.Stream | inet.Stream) -> int:
    """Serve one connection until it ends; return how many calls there were."""
    held: list[tuple[int, bytes]] = []
    calls = 0
    try:
        while True:
            mark = struct.unpack(">I", read_exactly(connection, 4))[0]
            assert mark & LAST
            xid, procedure, credential, arguments = take_call(read_exactly(connection, mark & ~LAST))
            calls += 1
            if procedure == NULL:
                connection.write(record(success(xid, b"")))
            elif procedure == ECHO:
                connection.write(record(success(xid, arguments)))
            elif procedure == HOLD:
                held.append((xid, arguments))
                reached(f"held {len(held)}")
            elif procedure == LET_GO:
                connection.write(b"".join(record(success(*one)) for one in reversed(held)))
                held.clear()
                connection.write(record(success(xid, b"")))
            elif procedure == DRIBBLE:
                message = success(xid, arguments)
                for at in range(0, len(message), 3):
                    piece = message[at : at + 3]
                    mark = words(len(piece) | (LAST if at + 3 >= len(message) else 0))
                    for byte in mark + piece:
                        connection.write(bytes([byte]))
            elif procedure == CLOSE:
                break
            elif procedure == VERBATIM:
                connection.write(record(words(xid) + arguments))
            elif procedure == DIE:
                os.kill(os.getpid(), signal.SIGKILL)
            elif procedure == TWICE:
                connection.write(record(success(xid, arguments)) * 2 + record(success(xid ^ 1, b"stranger")))
            elif procedure == RAW:
                connection.write(arguments)
            elif procedure == CREDENTIAL:
                connection.write(record(success(xid, credential)))
            elif procedure == CUT:
                connection.write(record(success(xid, arguments))[:-2])
                break
            elif procedure == COUNT:
                connection.write(record(success(xid, words(calls))))
    except (EOFError, ConnectionError):
        pass
    connection.close()
    return calls


def serve_accepted(listener: unix.Listener[unix.Stream] | inet.Listener[inet.Stream], connections: int = 1) -> int:
    return sum(serve(listener.accept(timeout=20)) for _ in range(connections))


def sip(connection: unix.Stream | inet.Stream) -> None:
    """Read nothing until told to; then serve."""
    reached("idle")
    pause("read")
    serve(connection)


def serve_datagrams(sock: inet.Datagram) -> list[tuple[int, int]]:
    """Answer until told to close; return xid and procedure of all that came."""
    seen: list[tuple[int, int]] = []
    while True:
        message, address = sock.receive_from(timeout=20)
        xid, procedure, _, arguments = take_call(message)
        if procedure == CLOSE:
            return seen
        seen.append((xid, procedure))
        if procedure == ECHO:
            sock.send_to(success(xid, arguments), address)
        elif procedure == HOLD and seen.count((xid, procedure)) == 3:  # the first two are lost
            sock.send_to(b"", address)
            sock.send_to(b"abc", address)
            sock.send_to(success(xid ^ 1, b"of a stranger"), address)
            sock.send_to(success(xid, arguments), address)
        elif procedure == TWICE:
            sock.send_to(success(xid, arguments), address)
            sock.send_to(success(xid, arguments), address)
        elif procedure == VERBATIM:
            sock.send_to(words(xid) + arguments, address)


def wait_readable(fd: int) -> None:
    select.select([fd], [], [], 20)
