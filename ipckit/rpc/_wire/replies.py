"""Replies as a server sends them: whole records, of which a datagram is all but the mark."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from ipckit.errors import (
    AuthenticationError,
    GarbageArgumentsError,
    ProcedureUnavailableError,
    ProgramMismatchError,
    ProgramUnavailableError,
    RemoteFailureError,
    RpcError,
    RpcMismatchError,
)
from ipckit.rpc._wire.message import (
    SUCCESS_HEAD,
    auth_error,
    garbage_arguments,
    procedure_unavailable,
    program_mismatch,
    program_unavailable,
    rpc_mismatch,
    success,
    system_error,
)
from ipckit.rpc._wire.record import LAST, MARK_SIZE, as_record, pack_mark
from ipckit.rpc.auth import NONE

if TYPE_CHECKING:
    from ipckit.rpc.auth import OpaqueAuth

_put_mark = Struct(">I").pack_into
_VOID_MARK = pack_mark(LAST | (4 + len(SUCCESS_HEAD)))
_NO_MARK = b"\0" * MARK_SIZE


def begun(xid: bytes, verifier: OpaqueAuth = NONE) -> bytearray:
    """The beginning of a reply; the result is to be appended, and the reply then `finished`."""
    if verifier is NONE:
        return bytearray(_NO_MARK + xid + SUCCESS_HEAD)
    return bytearray(_NO_MARK + success(int.from_bytes(xid, "big"), b"", verifier))


def finished(reply: bytearray) -> bytearray:
    """*reply* with its mark."""
    _put_mark(reply, 0, (len(reply) - MARK_SIZE) | LAST)
    return reply


def void(xid: bytes) -> bytes:
    """The whole reply where there is nothing to return."""
    return _VOID_MARK + xid + SUCCESS_HEAD


def refusal(xid: bytes, error: BaseException, verifier: OpaqueAuth = NONE) -> bytes:
    """The reply that has *error* raised at the client; whatever is no `RpcError` is a failure of the procedure."""
    return as_record(_refusal(int.from_bytes(xid, "big"), error, verifier))


def _refusal(xid: int, error: BaseException, verifier: OpaqueAuth) -> bytes:
    if isinstance(error, AuthenticationError):
        return auth_error(xid, error.auth_stat)
    if isinstance(error, RpcMismatchError):
        return rpc_mismatch(xid)
    if isinstance(error, ProgramMismatchError):
        return program_mismatch(xid, error.low, error.high, verifier)
    return next((write for kind, write in _WRITERS if isinstance(error, kind)), system_error)(xid, verifier)


_WRITERS = (
    (ProgramUnavailableError, program_unavailable),
    (ProcedureUnavailableError, procedure_unavailable),
    (GarbageArgumentsError, garbage_arguments),
)

ANSWERS: tuple[type[RpcError], ...] = (
    AuthenticationError,
    GarbageArgumentsError,
    ProcedureUnavailableError,
    ProgramMismatchError,
    ProgramUnavailableError,
    RemoteFailureError,
)
"""What a handler may raise to have the client get just that; it is no failure of the server."""
