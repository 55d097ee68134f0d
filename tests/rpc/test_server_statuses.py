"""Every answer that RFC 5531 knows, byte for byte, and whom a server believes."""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.errors import AuthenticationError, ProgramMismatchError, RemoteFailureError
from ipckit.rpc import AuthStat, AuthSys, OpaqueAuth, Procedure, Server, Service, authentication_error
from tests.rpc.serving import (
    KINDS,
    MODES,
    PROGRAM,
    SECONDS,
    Running,
    call,
    receive,
    record,
    running,
    send,
    success,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipckit.rpc import Call

BADCRED, REJECTEDCRED, BADVERF = 1, 2, 3
SYS = AuthSys(1, "machine", 1000, 100, (4, 5)).opaque().encode()
NONE = bytes(8)


def accepted(xid: int, *stat: int) -> bytes:
    return words(xid, 1, 0, 0, 0, *stat)


def denied(xid: int, *stat: int) -> bytes:
    return words(xid, 1, 1, *stat)


def head(xid: int, version: int = 2) -> bytes:
    return words(xid, 0, version, PROGRAM, 3, 2)


ARGUMENTS = words(1, 2)
CASES = {
    "rpc mismatch": (head(5, 3) + NONE + NONE + ARGUMENTS, denied(5, 0, 2, 2)),
    "rpc mismatch, and nothing after it": (words(5, 0, 1), denied(5, 0, 2, 2)),
    "no such program": (call(6, 1, program=PROGRAM + 1), accepted(6, 1)),
    "no such version": (call(7, 1, version=4), accepted(7, 2, 3, 5)),
    "null of no such version": (call(7, 0, version=9), accepted(7, 2, 3, 5)),
    "no such procedure": (call(8, 77), accepted(8, 3)),
    "arguments too short": (call(9, 2, words(1)), accepted(9, 4)),
    "no arguments": (call(9, 2), accepted(9, 4)),
    "opaque of 4 GiB": (call(10, 1, words(0xFFFFFFFF) + b"abcd"), accepted(10, 4)),
    "opaque beyond the record": (call(10, 1, words(5) + b"abcd"), accepted(10, 4)),
    "padding that is not zero": (call(10, 1, words(3) + b"abcd"), accepted(10, 4)),
    "failure": (call(11, 6), accepted(11, 5)),
    "refused by the handler": (call(11, 7), accepted(11, 4)),
    "null": (call(12, 0), accepted(12, 0)),
    "null of the other version": (call(12, 0, version=5), accepted(12, 0)),
    "the lowest xid": (call(0, 2, ARGUMENTS), success(0, words(3))),
    "the highest xid": (call(0xFFFFFFFF, 2, ARGUMENTS), success(0xFFFFFFFF, words(3))),
    "more than the arguments": (call(13, 2, ARGUMENTS + b"more"), success(13, words(3))),
    "AUTH_SYS": (head(14) + SYS + NONE + ARGUMENTS, success(14, words(3))),
    "a verifier that nobody asked for": (head(14) + NONE + words(1, 4) + b"abcd" + ARGUMENTS, success(14, words(3))),
    "AUTH_NONE with a body": (head(15) + words(0, 4) + b"abcd" + NONE + ARGUMENTS, success(15, words(3))),
    "AUTH_SYS that ends early": (head(16) + words(1, 8) + bytes(8) + NONE + ARGUMENTS, denied(16, 1, BADCRED)),
    "AUTH_SYS with 17 groups": (
        head(17) + words(1, 20 + 17 * 4, 0, 0, 0, 0, 17, *range(17)) + NONE + ARGUMENTS,
        denied(17, 1, BADCRED),
    ),
    "AUTH_SYS from a machine of 256 letters": (
        head(18) + words(1, 20 + 256, 0, 256) + bytes(256) + words(0, 0, 0) + NONE + ARGUMENTS,
        denied(18, 1, BADCRED),
    ),
    "a flavor that nobody knows": (head(19) + words(77, 0) + NONE + ARGUMENTS, denied(19, 1, REJECTEDCRED)),
    "a credential of 401 bytes": (head(20) + words(77, 401) + bytes(404) + NONE + ARGUMENTS, denied(20, 1, BADCRED)),
    "a credential beyond the record": (head(20) + words(77, 400) + bytes(8), denied(20, 1, BADCRED)),
    "no credential": (head(21), denied(21, 1, BADCRED)),
    "no verifier": (head(21) + NONE, denied(21, 1, BADVERF)),
    "a verifier of 401 bytes": (head(22) + NONE + words(0, 401) + bytes(404), denied(22, 1, BADVERF)),
}


class Fifth(Service):
    PROGRAM, VERSION = PROGRAM, 5
    PROCEDURES = ()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
def test_every_status(mode: str, kind: str) -> None:
    """And each time the connection is used further."""
    it = Running(mode, check_peer=False)
    it.server = Server(
        it.service, Fifth(), listeners=it.server.listeners, mode=mode, check_peer=False, on_error=_ignore
    )
    with it.server, it.connect(kind) as sock:
        for name, (question, answer) in CASES.items():
            send(sock, question)
            assert receive(sock) == answer, name
            send(sock, call(99, 2, words(1, 1)))
            assert receive(sock) == success(99, words(2)), name


def _ignore(_error: BaseException, _peer: object) -> None:
    """The failure that is provoked."""


def as_user(uid: int, address: str | bytes, message: bytes, *, groups: Sequence[int] | None = None) -> bytes:
    """What a process of that user is answered; it has one group more unless said otherwise."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([uid + 1] if groups is None else groups)
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(address)
                sock.sendall(record(message))
                os.write(writer, receive(sock))
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answer:
        got = answer.read()
    os.waitpid(pid, 0)
    return got


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root, to become another user")
@pytest.mark.parametrize("most", [256, 257, 5000])
def test_auth_sys_of_a_user_in_many_groups(most: int) -> None:
    user, groups = 4321, range(10_000, 10_000 + most)

    def ask(*gids: int) -> bytes:
        auth = AuthSys(0, "", user, user, gids).opaque().encode()
        return as_user(user, it.unix, head(1) + auth + NONE + ARGUMENTS, groups=groups)

    with running() as it:
        assert ask(groups[0], groups[-1]) == success(1, words(3))
        assert ask(groups[-1] + 1) == denied(1, 1, BADCRED)


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root, to become two other users")
def test_auth_sys_on_a_unix_socket_is_checked() -> None:
    user = 4321

    def ask(uid: int, gid: int, *gids: int) -> bytes:
        auth = AuthSys(0, "", uid, gid, gids).opaque().encode()
        return as_user(user, it.unix, head(1) + auth + NONE + ARGUMENTS)

    with running() as it:
        good, bad = success(1, words(3)), denied(1, 1, BADCRED)
        assert ask(user, user) == ask(user, user, user + 1, user) == ask(user, user + 1) == good
        assert ask(0, 0) == ask(user, 0) == ask(0, user) == ask(user, user, user + 2) == bad
        with it.connect("unix") as sock, it.connect("tcp") as remote:  # root may be anybody, and TCP proves nothing
            for each in (sock, remote):
                send(each, head(1) + SYS + NONE + ARGUMENTS)
                assert receive(each) == good
    with running(check_peer=False) as it:
        assert ask(0, 0) == good


def test_whom_the_hook_admits() -> None:
    asked: list[Any] = []

    def authenticate(call: Call, credential: OpaqueAuth, verifier: OpaqueAuth) -> OpaqueAuth | None:
        asked.append((call.procedure, credential, verifier))
        if credential.flavor == 0:
            raise authentication_error(AuthStat.TOOWEAK)
        if credential.body == b"trouble!":
            raise LookupError("the hook itself fails")
        call.credential = "Mallory"
        return OpaqueAuth(credential.flavor, b"seal")

    with running(authenticate=authenticate) as it, it.connect("tcp") as sock:
        send(sock, call(1, 0))
        assert receive(sock) == success(1)
        assert asked == []
        send(sock, call(2, 2, ARGUMENTS))
        assert receive(sock) == denied(2, 1, AuthStat.TOOWEAK)
        cases = (
            (call(3, 5, auth=words(77, 0) + NONE), b"Mallory", 0),
            (call(3, 2, words(1, 2), auth=words(77, 0) + words(77, 4, 5)), words(3), 0),
            (call(3, 6, auth=words(77, 0) + NONE), b"", 5),
            (call(3, 2, b"", auth=words(77, 0) + NONE), b"", 4),
        )
        for question, end, stat in cases:
            send(sock, question)
            reply = receive(sock)
            assert reply.startswith(words(3, 1, 0, 77, 4) + b"seal" + words(stat))
            assert end in reply
        assert asked[2] == (2, OpaqueAuth(77, b""), OpaqueAuth(77, words(5)))
        send(sock, call(4, 2, ARGUMENTS, auth=words(77, 8) + b"trouble!" + NONE))
        assert receive(sock) == accepted(4, 5)
        assert [type(error) for error in it.errors] == [LookupError, LookupError]


class Proxy(Service):
    """Hands on what it was answered."""

    PROGRAM, VERSION = PROGRAM, 9
    PROCEDURES = (Procedure(1, "one", (int,)),)

    def one(self, which: int) -> None:
        if which == 0:
            raise RemoteFailureError("there")
        if which == 1:
            error = ProgramMismatchError("there")
            error.low, error.high = 2, 4
            raise error
        refused = AuthenticationError("there")
        refused.auth_stat = 7
        raise refused


def test_what_a_handler_raises_of_the_protocol_is_what_the_client_gets() -> None:
    reported: list[BaseException] = []
    server = Server(Proxy(), on_error=lambda error, _: reported.append(error))
    address = server.listen_unix()
    with server, socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(SECONDS)
        sock.connect(address)
        for which, answer in enumerate((accepted(1, 5), accepted(1, 2, 2, 4), denied(1, 1, 7))):
            send(sock, call(1, 1, struct.pack(">i", which), version=9))
            assert receive(sock) == answer
    assert reported == []
