"""Ask the port mapper, rpcbind(8), which program is where, and tell it what is here: RFC 1833, versions 2, 3 and 4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit.errors import BrokenPeerError, NotFoundError, ProgramUnavailableError, syscall_error
from ipckit.rpc._portmap import protocol as rfc
from ipckit.rpc._portmap.callit import ask
from ipckit.rpc._portmap.protocol import (
    PORT,
    PROGRAM,
    PROTOCOLS,
    VERSIONS,
    Binding,
    CallArguments,
    Mapping,
    Registered,
    Statistics,
)
from ipckit.rpc._portmap.uaddr import EVERY, host_and_port, universal
from ipckit.rpc.client import Client

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from ipckit.rpc.procedure import Procedure

__all__ = ["PATH", "PORT", "PROGRAM", "Registered", "Rpcbind", "host_and_port", "locate", "universal"]

PATH = "/run/rpcbind.sock"
"""Where rpcbind is for programs of the same machine: only there, as a rule, it can be told something."""

_NETIDS = {number: netid for netid, number in PROTOCOLS.items()}
_REMEDY = "no port mapper answers: start rpcbind, or serve ipckit.rpc.portmapper"


class Rpcbind:
    """A connection with a port mapper. Threads may share it.

    Versions 3 and 4 have addresses of any kind, version 2 knows TCP and UDP over IPv4 alone. What the port mapper
    refuses is answered by False or an empty answer; the protocol gives no reasons. Whoever registers a program from
    another machine is refused, and so is who removes what another user registered.

    >>> try:
    ...     Rpcbind.connect(path="/nowhere/rpcbind.sock")
    ... except FileNotFoundError as error:
    ...     print(error.strerror)
    No such file or directory (no port mapper answers: start rpcbind, or serve ipckit.rpc.portmapper)
    """

    __slots__ = ("_client", "_datagrams")

    def __init__(self, client: Client, datagrams: tuple[str, int] | None = None) -> None:
        self._client = client
        self._datagrams = datagrams  # where they go, for callit

    @classmethod
    def connect(
        cls,
        host: str | None = None,
        port: int = PORT,
        *,
        path: Any = PATH,
        version: int = 4,
        transport: str = "tcp",
        timeout: float | None = None,
    ) -> Self:
        """Connect to the port mapper of *host*, or of this machine.

        Args:
            host: None: over the Unix socket at *path*.
            port: at that host.
            path: of the Unix socket.
            version: 2, 3 or 4.
            transport: "tcp" or "udp", to another host.
            timeout: seconds to connect; None waits until the kernel gives up.

        Raises:
            NotFoundError: there is no socket at *path*, or no host of that name (ENOENT).
            BrokenPeerError: nobody listens (ECONNREFUSED).
            ValueError: an argument is out of range.
        """
        if version not in VERSIONS:
            raise ValueError(f"version must be 2, 3 or 4, not {version!r}")
        if transport not in PROTOCOLS:
            raise ValueError(f"transport must be tcp or udp, not {transport!r}")
        try:
            if host is None:
                return cls(Client.connect_unix(path, PROGRAM, version, timeout=timeout))
            if transport == "udp":
                return cls(Client.connect_udp(host, port, PROGRAM, version), (host, port))
            return cls(Client.connect_tcp(host, port, PROGRAM, version, timeout=timeout))
        except (NotFoundError, BrokenPeerError) as error:
            if error.syscall == "getaddrinfo":
                raise
            subject = str(path) if host is None else f"{host} port {port}"
            raise syscall_error(error.errno or 0, "connect", subject, remedy=_REMEDY) from None

    @property
    def version(self) -> int:
        """Of the protocol: 2, 3 or 4."""
        return self._client.version

    def null(self, timeout: float | None = None) -> None:
        """Return when the port mapper answers."""
        self._client.call_raw(0, timeout=timeout)

    def set(
        self, program: int, version: int, netid: str, address: str, *, owner: str = "", timeout: float | None = None
    ) -> bool:
        """Register a program; False if it is registered with another address, or this is not allowed.

        Args:
            netid: "tcp", "udp", "tcp6", "udp6", "local"; version 2 takes the first two.
            address: universal, as `universal` makes it, or the path of a Unix socket.
            owner: who it is; a port mapper puts there whom it sees.
            timeout: seconds.
        """
        if self.version == 2:
            mapping = Mapping(program, version, _protocol(netid), host_and_port(address)[1])
            return self._ask(rfc.PMAP_SET, timeout, mapping) is True
        return self._ask(rfc.SET, timeout, Binding(program, version, netid, address, owner)) is True

    def unset(self, program: int, version: int, netid: str = "", timeout: float | None = None) -> bool:
        """Remove a registration, or all of the program's version; False where that is not allowed.

        Where there is none, rpcbind answers True all the same, and `portmapper` False.

        Args:
            netid: "" is all. Version 2 always removes TCP and UDP at once.
            timeout: seconds.
        """
        if self.version == 2:
            return self._ask(rfc.PMAP_UNSET, timeout, Mapping(program, version, 0, 0)) is True
        return self._ask(rfc.UNSET, timeout, Binding(program, version, netid, "", "")) is True

    def getport(self, program: int, version: int, netid: str = "tcp", timeout: float | None = None) -> int:
        """The port of a program over TCP or UDP; 0 if it is not registered.

        If it is not in this version but in another one, a port mapper tells the port of that.
        """
        if self.version == 2:
            port: int = self._ask(rfc.PMAP_GETPORT, timeout, Mapping(program, version, _protocol(netid), 0))
            return port
        address = self.getaddr(program, version, netid, timeout)
        return host_and_port(address)[1] if address else 0

    def getaddr(self, program: int, version: int, netid: str = "tcp", timeout: float | None = None) -> str:
        """The address of a program; "" if it is not registered. Not in version 2.

        rpcbind answers for the way by which it is asked, whatever *netid* says: ask over TCP for TCP.
        """
        self._needs(3, "getaddr")
        address: str = self._ask(rfc.GETADDR, timeout, Binding(program, version, netid, "", ""))
        return address

    def dump(self, timeout: float | None = None) -> list[Registered]:
        """Everything that is registered, in the order of the port mapper."""
        found: list[Registered] = []
        if self.version == 2:
            each = self._ask(rfc.PMAP_DUMP, timeout)
            while each is not None:
                one = each.mapping
                netid = _NETIDS.get(one.protocol, str(one.protocol))
                found.append(Registered(one.program, one.version, netid, universal(EVERY, one.port)))
                each = each.next
            return found
        each = self._ask(rfc.DUMP, timeout)
        while each is not None:
            one = each.binding
            found.append(Registered(one.program, one.version, one.netid, one.address, one.owner))
            each = each.next
        return found

    def callit(
        self, program: int, version: int, procedure: int, arguments: bytes = b"", timeout: float | None = None
    ) -> tuple[str, bytes]:
        """Have the port mapper call a program of its machine by UDP; the program's address, and the encoded result.

        A call that fails is not answered at all, so that a broadcast brings no heap of failures: give a *timeout*.
        rpcbind does it only where it is asked by UDP, and Debian's only with its option -r.
        """
        asked = CallArguments(program, version, procedure, arguments)
        callit = rfc.PMAP_CALLIT if self.version == 2 else rfc.CALLIT
        if self._datagrams is None:
            answer = self._ask(callit, timeout, asked)
        else:
            self._client.fileno()  # raises where it is closed
            answer = ask(self._datagrams, self.version, callit, asked, timeout)
        return (universal(EVERY, answer.port) if self.version == 2 else answer.address), answer.results

    def gettime(self, timeout: float | None = None) -> int:
        """The time of its machine, in seconds since 1970. Not in version 2."""
        self._needs(3, "gettime")
        seconds: int = self._ask(rfc.GETTIME, timeout)
        return seconds

    def getaddrlist(self, program: int, version: int, timeout: float | None = None) -> list[rfc.Entry]:
        """All addresses of a program in one version; version 4 alone."""
        self._needs(4, "getaddrlist")
        found: list[rfc.Entry] = []
        each = self._ask(rfc.GETADDRLIST, timeout, Binding(program, version, "", "", ""))
        while each is not None:
            found.append(each.entry)
            each = each.next
        return found

    def getstat(self, timeout: float | None = None) -> list[Statistics]:
        """What it was asked, in versions 2, 3 and 4, one after the other; version 4 alone."""
        self._needs(4, "getstat")
        statistics: list[Statistics] = self._ask(rfc.GETSTAT, timeout)
        return statistics

    def close(self) -> None:
        """Close the connection. Closing again does nothing."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Rpcbind version {self.version} {self._client!r}>"

    def _ask(self, procedure: Procedure, timeout: float | None, *arguments: Any) -> Any:
        return self._client.call(procedure, *arguments, timeout=timeout)

    def _needs(self, version: int, name: str) -> None:
        if self.version < version:
            raise ValueError(f"{name} needs version {version} or later; this speaks {self.version}")


def _protocol(netid: str) -> int:
    if netid not in PROTOCOLS:
        raise ValueError(f"netid must be tcp or udp in version 2 of the port mapper, not {netid!r}")
    return PROTOCOLS[netid]


def locate(
    host: str, program: int, version: int, netid: str = "tcp", *, port: int = PORT, timeout: float | None = None
) -> tuple[str, int]:
    """Where *program* is on *host*, as `Client.connect_tcp` and `connect_udp` take it.

    Args:
        netid: "tcp" or "udp".
        port: of the port mapper.
        timeout: seconds to connect, and again to be answered.

    Raises:
        ProgramUnavailableError: it is not registered there.
        BrokenPeerError: there is no port mapper (ECONNREFUSED).
    """
    with Rpcbind.connect(host, port, version=2, transport=netid, timeout=timeout) as mapper:
        found = mapper.getport(program, version, netid, timeout)
    if not found:
        raise ProgramUnavailableError(f"{host}: program {program} version {version} is not registered for {netid}")
    return host, found
