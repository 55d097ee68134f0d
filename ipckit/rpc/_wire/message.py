"""Calls and replies: RFC 5531, sections 8 and 9. What `ipckit.rpc` puts before arguments and results, and reads there.

A message is the same on every transport; on a stream it is a record.
"""

from __future__ import annotations

from struct import Struct
from struct import error as struct_error
from typing import NamedTuple

from ipckit.errors import (
    GarbageArgumentsError,
    ProcedureUnavailableError,
    ProgramMismatchError,
    ProgramUnavailableError,
    RemoteFailureError,
    RpcError,
    RpcMismatchError,
    RpcProtocolError,
)
from ipckit.rpc.auth import MOST_BODY, NONE, AuthStat, OpaqueAuth, authentication_error

RPC_VERSION = 2
CALL, REPLY = 0, 1
MSG_ACCEPTED, MSG_DENIED = 0, 1
SUCCESS, PROG_UNAVAIL, PROG_MISMATCH, PROC_UNAVAIL, GARBAGE_ARGS, SYSTEM_ERR = range(6)
RPC_MISMATCH, AUTH_ERROR = 0, 1

CALL_HEAD = Struct(">IIIIII")  # xid, CALL, 2, program, version, procedure; then credential and verifier
_THREE = Struct(">III")
_PAIR = Struct(">II")
_ONE = Struct(">I")
pack_call = CALL_HEAD.pack
unpack_xid = _ONE.unpack_from

NO_AUTH = NONE.encode()
_ACCEPTED = _PAIR.pack(REPLY, MSG_ACCEPTED)
_DENIED = _PAIR.pack(REPLY, MSG_DENIED)
SUCCESS_HEAD = _ACCEPTED + NO_AUTH + _ONE.pack(SUCCESS)  # of a reply, after its xid, from a server without a verifier
SUCCESS_SIZE = 4 + len(SUCCESS_HEAD)


class CallHeader(NamedTuple):
    """The head of a call."""

    xid: int
    program: int
    version: int
    procedure: int
    credential: OpaqueAuth
    verifier: OpaqueAuth
    start: int
    """Where in the message the arguments begin, in bytes."""


class ReplyHeader(NamedTuple):
    """The head of a reply."""

    xid: int
    verifier: OpaqueAuth
    error: RpcError | None
    """What the server has to say instead of a result."""
    start: int
    """Where in the message the result begins, in bytes."""


class BadCall(Exception):
    """What came is no call that can be made.

    Attributes:
        reply: the message to answer with; None where there is nobody to answer.
    """

    def __init__(self, text: str, reply: bytes | None = None) -> None:
        super().__init__(text)
        self.reply = reply


def encode_call(
    xid: int, program: int, version: int, procedure: int, arguments: bytes = b"", *, auth: bytes = NO_AUTH + NO_AUTH
) -> bytes:
    """A call.

    Args:
        auth: credential and verifier, encoded.
    """
    return pack_call(xid, CALL, RPC_VERSION, program, version, procedure) + auth + arguments


def decode_call(data: bytes) -> CallHeader:
    """The head of the call in *data*, a whole message.

    Raises:
        BadCall: it is none, or one that has to be refused.
    """
    try:
        xid, kind, version = _THREE.unpack_from(data)
        if kind != CALL:
            raise BadCall("a reply" if kind == REPLY else f"message type {kind}")
        if version != RPC_VERSION:
            raise BadCall(f"version {version} of the protocol", rpc_mismatch(xid))
        _, _, _, program, version, procedure = CALL_HEAD.unpack_from(data)
    except struct_error:
        raise BadCall(f"{len(data)} bytes: no message") from None
    credential, at = _auth(data, CALL_HEAD.size)
    if credential is None:
        raise BadCall("the credential is malformed", auth_error(xid, AuthStat.BADCRED))
    verifier, at = _auth(data, at)
    if verifier is None:
        raise BadCall("the verifier is malformed", auth_error(xid, AuthStat.BADVERF))
    return CallHeader(xid, program, version, procedure, credential, verifier, at)


def _auth(data: bytes, at: int) -> tuple[OpaqueAuth | None, int]:
    """The credential or verifier at *at*, and where it ends; None where it is malformed."""
    if data[at : at + 8] == NO_AUTH:
        return NONE, at + 8
    try:
        flavor, size = _PAIR.unpack_from(data, at)
    except struct_error:
        return None, at
    at += 8
    end = at + size + -size % 4
    if size > MOST_BODY or end > len(data) or data[at + size : end].strip(b"\0"):
        return None, at
    return OpaqueAuth(flavor, bytes(data[at : at + size])), end


def success(xid: int, results: bytes = b"", verifier: OpaqueAuth = NONE) -> bytes:
    """The reply that carries a result, encoded."""
    if verifier is NONE:
        return _ONE.pack(xid) + SUCCESS_HEAD + results
    return _accepted(xid, verifier, _ONE.pack(SUCCESS)) + results


def program_unavailable(xid: int, verifier: OpaqueAuth = NONE) -> bytes:
    """The reply where nobody exports the program."""
    return _accepted(xid, verifier, _ONE.pack(PROG_UNAVAIL))


def program_mismatch(xid: int, low: int, high: int, verifier: OpaqueAuth = NONE) -> bytes:
    """The reply where the program is exported in versions *low* to *high* only."""
    return _accepted(xid, verifier, _THREE.pack(PROG_MISMATCH, low, high))


def procedure_unavailable(xid: int, verifier: OpaqueAuth = NONE) -> bytes:
    """The reply where the program has no such procedure."""
    return _accepted(xid, verifier, _ONE.pack(PROC_UNAVAIL))


def garbage_arguments(xid: int, verifier: OpaqueAuth = NONE) -> bytes:
    """The reply where the arguments cannot be decoded."""
    return _accepted(xid, verifier, _ONE.pack(GARBAGE_ARGS))


def system_error(xid: int, verifier: OpaqueAuth = NONE) -> bytes:
    """The reply where the procedure failed."""
    return _accepted(xid, verifier, _ONE.pack(SYSTEM_ERR))


def rpc_mismatch(xid: int, low: int = RPC_VERSION, high: int = RPC_VERSION) -> bytes:
    """The reply to a call in a version of the protocol other than *low* to *high*."""
    return _ONE.pack(xid) + _DENIED + _THREE.pack(RPC_MISMATCH, low, high)


def auth_error(xid: int, stat: int) -> bytes:
    """The reply to a call whose credential or verifier is refused for *stat*, an `AuthStat`."""
    return _ONE.pack(xid) + _DENIED + _PAIR.pack(AUTH_ERROR, stat)


def _accepted(xid: int, verifier: OpaqueAuth, rest: bytes) -> bytes:
    return _ONE.pack(xid) + _ACCEPTED + verifier.encode() + rest


def decode_reply(data: bytes, subject: str = "the call") -> ReplyHeader:
    """The head of the reply in *data*, a whole message.

    Args:
        subject: what was called, for the texts of errors.

    Raises:
        RpcProtocolError: it is no reply.
    """
    try:
        xid, kind, stat = _THREE.unpack_from(data)
        if kind != REPLY:
            raise RpcProtocolError(f"{subject}: message type {kind} instead of a reply")
        if stat == MSG_DENIED:
            return ReplyHeader(xid, NONE, *_denied(data, subject))
        if stat != MSG_ACCEPTED:
            raise RpcProtocolError(f"{subject}: reply_stat {stat}")
        verifier, at = _auth(data, _THREE.size)
        if verifier is None:
            raise RpcProtocolError(f"{subject}: the reply's verifier is malformed")
        return ReplyHeader(xid, verifier, *_refused(data, at, subject))
    except struct_error:
        raise RpcProtocolError(f"{subject}: a reply of {len(data)} bytes") from None


_PLAIN = {
    PROG_UNAVAIL: (ProgramUnavailableError, "the server does not export the program"),
    PROC_UNAVAIL: (ProcedureUnavailableError, "the program has no procedure of that number"),
    GARBAGE_ARGS: (GarbageArgumentsError, "the server could not decode the arguments"),
    SYSTEM_ERR: (RemoteFailureError, "the procedure failed in the server"),
}


def _refused(data: bytes, at: int, subject: str) -> tuple[RpcError | None, int]:
    stat = unpack_xid(data, at)[0]
    if stat == SUCCESS:
        return None, at + 4
    if stat == PROG_MISMATCH:
        mismatch = ProgramMismatchError
        return _between(mismatch(f"{subject}: the server exports versions"), data, at + 4), len(data)
    if stat not in _PLAIN:
        raise RpcProtocolError(f"{subject}: accept_stat {stat}")
    kind, text = _PLAIN[stat]
    return kind(f"{subject}: {text}"), len(data)


def _denied(data: bytes, subject: str) -> tuple[RpcError, int]:
    stat = unpack_xid(data, 12)[0]
    if stat == RPC_MISMATCH:
        return _between(RpcMismatchError(f"{subject}: the server speaks versions"), data, 16), len(data)
    if stat != AUTH_ERROR:
        raise RpcProtocolError(f"{subject}: reject_stat {stat}")
    error = authentication_error(unpack_xid(data, 16)[0])
    error.args = (f"{subject}: {error}",)
    return error, len(data)


def _between(error: ProgramMismatchError | RpcMismatchError, data: bytes, at: int) -> RpcError:
    error.low, error.high = _PAIR.unpack_from(data, at)
    error.args = (f"{error} {error.low} to {error.high}",)
    return error
