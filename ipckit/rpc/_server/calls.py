"""What a handler may know of the call that it answers, and which handler a call is for."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from ipckit._arguments import check_int
from ipckit.errors import ProcedureUnavailableError, ProgramMismatchError, ProgramUnavailableError
from ipckit.rpc._wire.message import CALL, NO_AUTH, RPC_VERSION, pack_call
from ipckit.rpc.auth import AuthNone
from ipckit.rpc.service import takes_call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ipckit.rpc.procedure import Procedure
    from ipckit.rpc.service import Service
    from ipckit.server.machinery import Peer

_UINT = (1 << 32) - 1
_NOBODY = AuthNone()


class NoReply:
    """What a handler returns so that no reply is sent: for procedures that clients call one way only."""

    def __repr__(self) -> str:
        return "NO_REPLY"


NO_REPLY = NoReply()


class Call:
    """The call that a handler answers; given to those with a keyword-only parameter ``call``.

    Attributes:
        peer: who called: `ipckit.server.Peer`, with ``address``, ``credentials`` (process, user and group as the
            kernel knows them, of a Unix socket) and ``state``, a dict that lives as long as the connection.
        credential: who it says it is: an `AuthSys`, `AuthNone`, or what the server's ``authenticate`` put there.
        program: number.
        version: of the program.
        procedure: number.
        xid: the number by which the client knows the reply.
    """

    __slots__ = ("credential", "peer", "procedure", "program", "version", "xid")

    def __init__(self, peer: Peer, xid: int, program: int, version: int, procedure: int) -> None:
        self.peer = peer
        self.credential: Any = _NOBODY
        self.program = program
        self.version = version
        self.procedure = procedure
        self.xid = xid

    def __repr__(self) -> str:
        which = f"program {self.program:#x} version {self.version} procedure {self.procedure}"
        return f"<Call {self.xid:#010x} of {which} by {self.peer!r} as {self.credential!r}>"


class Target:
    """One procedure: how its arguments are read, what is called, and how its result is written."""

    __slots__ = (
        "awaits", "decode", "encode_into", "function", "name", "procedure", "program", "returns_nothing", "version",
        "wants_call",
    )  # fmt: skip

    def __init__(self, service: Service, procedure: Procedure, function: Callable[..., Any]) -> None:
        self.program: int = service.PROGRAM
        self.version: int = service.VERSION
        self.procedure: int = procedure.number
        self.name: str = procedure.name
        self.decode = procedure.arguments.decode
        self.encode_into = procedure.result.encode_into
        self.function = function
        self.awaits = inspect.iscoroutinefunction(function)
        self.returns_nothing = procedure.result_type is None
        self.wants_call = takes_call(function)

    def head(self) -> bytes:
        """The call's head after the xid, where neither credential nor verifier says anything."""
        words = pack_call(0, CALL, RPC_VERSION, self.program, self.version, self.procedure)
        return words[4:] + NO_AUTH + NO_AUTH


class Targets:
    """All procedures of some services."""

    def __init__(self, services: Iterable[Service]) -> None:
        self.services = tuple(services)
        self.all: dict[tuple[int, int, int], Target] = {}
        self.versions: dict[int, list[int]] = {}
        """Of each program, from the lowest to the highest."""
        for service in self.services:
            self._add(service)

    def _add(self, service: Service) -> None:
        program = check_int(service.PROGRAM, "PROGRAM", 0, _UINT, "32 bits")
        version = check_int(service.VERSION, "VERSION", 0, _UINT, "32 bits")
        versions = self.versions.setdefault(program, [])
        if version in versions:
            raise ValueError(f"services must differ in program or version: {program:#x} version {version} comes twice")
        versions.append(version)
        versions.sort()
        for procedure, function in service.handlers().values():
            target = Target(service, procedure, function)
            self.all[program, version, target.procedure] = target

    def find(self, program: int, version: int, procedure: int) -> Target:
        """Which procedure is meant.

        Raises:
            ProgramUnavailableError, ProgramMismatchError, ProcedureUnavailableError: there is none.
        """
        target = self.all.get((program, version, procedure))
        if target is not None:
            return target
        versions = self.versions.get(program)
        if versions is None:
            raise ProgramUnavailableError(f"program {program:#x}")
        if version in versions:
            raise ProcedureUnavailableError(f"procedure {procedure}")
        error = ProgramMismatchError(f"version {version}")
        error.low, error.high = versions[0], versions[-1]
        raise error

    def awaiting(self) -> list[str]:
        """The names of procedures whose handlers are coroutine functions."""
        return [target.name for target in self.all.values() if target.awaits]
