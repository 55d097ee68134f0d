"""What a server tells rpcbind(8) when it starts, and takes back when it stops: RFC 1833."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from ipckit.errors import IPCError, syscall_error
from ipckit.rpc._portmap.uaddr import netid_and_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.rpc.rpcbind import Rpcbind
    from ipckit.rpc.service import Service

SECONDS = 5.0
"""How long one question to the port mapper may take."""


class Registration:
    """The programs of one server. What a dead server left under the same numbers is replaced.

    Args:
        path: of the port mapper's socket; None: rpcbind's.
    """

    def __init__(self, services: tuple[Service, ...], path: Any, report: Callable[[BaseException, None], None]) -> None:
        self._services = services
        self._path = path
        self._report = report
        self._told: set[tuple[str, str]] = set()  # netids and addresses

    def begin(self, listeners: list[Any]) -> None:
        """Register all programs for all *listeners* that have a name which can be told.

        Raises:
            NotFoundError, BrokenPeerError: no port mapper answers.
            AccessError: it refuses; somebody else has registered the program.
        """
        with self._mapper() as mapper:
            for netid, address in filter(None, map(netid_and_address, listeners)):
                self._told.add((netid, address))
                for service in self._services:
                    _set(mapper, service.PROGRAM, service.VERSION, netid, address)

    def end(self) -> None:
        """Remove them; those that another server has put in their place stay."""
        told, self._told = self._told, set()
        if not told:
            return
        programs = {(service.PROGRAM, service.VERSION) for service in self._services}
        try:
            with self._mapper() as mapper:
                _unset(mapper, programs, told)
        except IPCError as error:  # the port mapper ended first
            self._report(error, None)

    def _mapper(self) -> Rpcbind:
        from ipckit.rpc import rpcbind  # most servers never ask it

        path = rpcbind.PATH if self._path is None else self._path
        return rpcbind.Rpcbind.connect(path=path, timeout=SECONDS)


def _set(mapper: Rpcbind, program: int, version: int, netid: str, address: str) -> None:
    mapper.unset(program, version, netid, SECONDS)
    if not mapper.set(program, version, netid, address, timeout=SECONDS):
        remedy = "it is registered by another user, or the port mapper takes no registrations from here"
        subject = f"program {program:#x} version {version} {netid}"
        raise syscall_error(errno.EACCES, "rpcbind", subject, remedy=remedy)


def _unset(mapper: Rpcbind, programs: set[tuple[int, int]], places: set[tuple[str, str]]) -> None:
    for one in mapper.dump(SECONDS):
        if (one.program, one.version) in programs and (one.netid, one.address) in places:
            mapper.unset(one.program, one.version, one.netid, SECONDS)
