"""What holds for any bytes of a peer: for the record reader, the decoders of heads, and a server's answers."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import pytest

from ipckit.errors import MessageTooLargeError, RpcProtocolError
from ipckit.rpc import Procedure, Service
from ipckit.rpc._server.answer import Answerer
from ipckit.rpc._server.calls import Targets
from ipckit.rpc._server.doorkeeper import Doorkeeper
from ipckit.rpc._server.port import Job
from ipckit.rpc._server.settings import make_plan
from ipckit.rpc._wire.message import BadCall, decode_call, decode_reply
from ipckit.rpc._wire.record import LAST, MOST_EMPTY, RecordReader
from ipckit.server.machinery import Peer
from ipckit.sockets.unix import Credentials
from tests.rpc.test_xdr_types import File

LIMIT = 300  # bytes of a record
ECHO = Procedure(1, "echo", (bytes,), bytes)
TWO = Procedure(2, "two", (str, int), str)
FILE = Procedure(3, "file", (File,), File)
PROGRAM, VERSION = 0x20000099, 3
HEAD = struct.Struct(">6I")
_PEERS = [Peer(("127.0.0.1", 1)), Peer("", Credentials(1, 1000, 100))]


class Answers(Service):
    """What a peer calls."""

    PROGRAM, VERSION, PROCEDURES = PROGRAM, VERSION, (ECHO, TWO, FILE)

    def echo(self, data: bytes) -> bytes:
        return data

    def two(self, text: str, number: int) -> str:
        return f"{text} {number}"

    def file(self, value: File) -> File:
        return value


_reported: list[BaseException] = []
_ANSWERER = Answerer(
    Targets([Answers()]),
    Doorkeeper(None, check_peer=True),
    make_plan(
        mode="threads",
        max_connections=None,
        max_message_size=None,
        idle_timeout=None,
        on_error=lambda error, _: _reported.append(error),
    ),
)


class Records(NamedTuple):
    """What came of a stream."""

    records: list[bytes]
    ended: type[Exception] | None
    """Why it has no further use."""


def read(stream: bytes, sizes: list[int]) -> Records:
    """What the reader makes of *stream*, which comes in pieces of *sizes*, over and over."""
    reader, found, at, turn = RecordReader(LIMIT), [], 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        try:
            reader.feed(stream[at : at + size])
        except (MessageTooLargeError, RpcProtocolError) as error:
            return Records(found + reader.records(), type(error))
        found += reader.records()
        at += size
        turn += 1
    return Records(found, None)


def read_plainly(stream: bytes) -> Records:
    """The same, word by word as RFC 5531 says it."""
    found, record, empty, at = [], b"", 0, 0
    while at + 4 <= len(stream):
        (mark,) = struct.unpack_from(">I", stream, at)
        length = mark & (LAST - 1)
        empty += not length
        if len(record) + length > LIMIT:
            return Records(found, MessageTooLargeError)
        if empty > MOST_EMPTY:
            return Records(found, RpcProtocolError)
        if at + 4 + length > len(stream):
            break
        record += stream[at + 4 : at + 4 + length]
        at += 4 + length
        if mark & LAST:
            found.append(record)
            record, empty = b"", 0
    return Records(found, None)


def check_stream(stream: bytes, sizes: list[int]) -> None:
    expected = read_plainly(stream)
    assert read(stream, [len(stream) or 1]) == expected, stream.hex()
    assert read(stream, sizes) == expected, (stream.hex(), sizes)


def check_reply(message: bytes) -> None:
    """It is one, or the one error says that it is none."""
    try:
        head = decode_reply(message)
    except RpcProtocolError:
        return
    assert head.start <= len(message)
    assert head.xid == int.from_bytes(message[:4], "big")


def check_call(message: bytes, peer: int = 0) -> None:
    """The server answers it with a well-formed reply or not at all; a result is what the procedure gives for that."""
    _reported.clear()
    job: Any = Job(message, _PEERS[peer % 2], 65507, None)  # type: ignore[arg-type]
    try:
        record: Any = _ANSWERER.answer(job)
    except BadCall:
        with pytest.raises(BadCall) as caught:
            decode_call(message)
        assert caught.value.reply is None
        return
    assert _reported == [], message.hex()
    (mark,) = struct.unpack_from(">I", record)
    assert mark == LAST | (len(record) - 4)
    reply = bytes(record[4:])
    answered = decode_reply(reply)
    assert answered.xid == int.from_bytes(message[:4], "big")
    if answered.error is not None:
        assert answered.start == len(reply)
        return
    asked = decode_call(message)
    assert (asked.program, asked.version) == (PROGRAM, VERSION)
    result = reply[answered.start :]
    if asked.procedure == 0:
        assert result == b""
        return
    procedure = Answers.PROCEDURES[asked.procedure - 1]
    value = procedure.result.decode(result)
    arguments = procedure.arguments.decode(message, asked.start)
    assert procedure.result.encode(getattr(Answers(), procedure.name)(*arguments)) == result
    if procedure is not TWO:
        assert repr(value) == repr(arguments[0])


def head_of(data: bytes) -> bytes:
    """The head of a call of one of the procedures, chosen by a byte."""
    return HEAD.pack(7, 0, 2, PROGRAM, VERSION, data[0] % 5) if data else b""


def check(data: bytes) -> None:
    """Take *data* for what its first byte says."""
    if not data:
        return
    kind, rest = data[0] % 5, data[1:]
    if kind == 0:
        check_stream(rest[3:], [1 + byte for byte in rest[:3]] or [1])
    elif kind == 1:
        check_reply(rest)
    elif kind == 2:
        check_call(rest, data[0] // 5)
    elif kind == 3:  # credential, verifier and arguments are any bytes
        check_call(head_of(rest) + rest[1:], data[0] // 5)
    else:  # arguments are any bytes
        check_call(head_of(rest) + bytes(16) + rest[1:], data[0] // 5)
