"""What all calls of one client have in common: program, version, credential, and the xids that tell them apart."""

from __future__ import annotations

import itertools
import random
from struct import error as struct_error

from ipckit._arguments import check_int
from ipckit.errors import AuthenticationError, RpcError
from ipckit.rpc._wire.message import CALL, RPC_VERSION, SUCCESS_HEAD, SUCCESS_SIZE, decode_reply, pack_call
from ipckit.rpc._wire.record import MOST_FRAGMENT, too_large
from ipckit.rpc.auth import AuthNone, Credential

_UINT = (1 << 32) - 1


class Caller:
    """Makes the heads of calls, and reads those of replies; safe for threads to share.

    Args:
        max_size: bytes that a call or a reply may have, its head included.
    """

    __slots__ = ("_constant", "_numbers", "_trusting", "credential", "max_size", "program", "version")

    def __init__(self, program: int, version: int, credential: Credential | None, max_size: int) -> None:
        self.program = check_int(program, "program", 0, _UINT, "a number of 32 bits")
        self.version = check_int(version, "version", 0, _UINT, "a number of 32 bits")
        self.max_size = check_int(max_size, "max_message_size", 64, MOST_FRAGMENT, "bytes")
        self.credential = AuthNone() if credential is None else credential
        if not isinstance(self.credential, Credential):
            raise TypeError(f"credential must be an AuthSys or another ipckit.rpc.Credential, not {credential!r}")
        self._constant = b""
        if self.credential.constant:
            self._constant = self.credential.opaque().encode() + self.credential.verifier(b"").encode()
        self._trusting = type(self.credential).check is Credential.check
        # Not from 1: a server that remembers the calls of an earlier process must not take ours for copies of them.
        self._numbers = itertools.count(random.SystemRandom().getrandbits(32))

    @property
    def facts(self) -> tuple[int, int, Credential, int]:
        """What makes another one of this kind."""
        return self.program, self.version, self.credential, self.max_size

    def new_xid(self) -> int:
        """The number of the next call."""
        return next(self._numbers) & _UINT

    def head(self, xid: int, number: int, size: int) -> bytes:
        """What goes before the arguments.

        Args:
            number: of the procedure.
            size: of the arguments, in bytes.

        Raises:
            MessageTooLargeError: the call would exceed `max_size` (EMSGSIZE).
        """
        try:
            head = pack_call(xid, CALL, RPC_VERSION, self.program, self.version, number)
        except struct_error:
            check_int(number, "number of a procedure", 0, _UINT, "32 bits")
            raise
        if self._constant:
            head += self._constant
        else:
            head += self.credential.opaque().encode()
            head += self.credential.verifier(head).encode()
        if len(head) + size > self.max_size:
            raise too_large(len(head) + size, self.max_size, "send")
        return head

    def result_at(self, reply: bytes, number: int) -> int:
        """Where in *reply* the result begins, in bytes.

        Raises:
            RpcError: it has none: the server says why, or what it says is no reply.
        """
        if self._trusting and reply[4:SUCCESS_SIZE] == SUCCESS_HEAD:
            return SUCCESS_SIZE
        header = decode_reply(reply, f"procedure {number} of {self}")
        if not isinstance(header.error, AuthenticationError):
            self.credential.check(header.verifier)
        if header.error is not None:
            raise header.error
        return header.start

    def refreshes(self, error: RpcError) -> bool:
        """Whether the call that *error* refused is to be made once more."""
        return isinstance(error, AuthenticationError) and self.credential.refresh(error.auth_stat)

    def __str__(self) -> str:
        return f"program {self.program:#x} version {self.version}"
