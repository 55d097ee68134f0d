"""Calls to a server of ONC RPC, one after the other or many at once from many threads: RFC 5531."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ipckit._handle import Handle
from ipckit._wait import Deadline
from ipckit.errors import RpcError
from ipckit.rpc._client.caller import Caller
from ipckit.rpc._client.connecting import interval_of, local, tcp, udp
from ipckit.rpc._client.datagram_link import MOST_DATAGRAM
from ipckit.rpc._client.line import Connect, Line
from ipckit.rpc._client.stream_link import StreamLink
from ipckit.rpc._wire.record import DEFAULT_MAX_MESSAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from ipckit.rpc.auth import Credential
    from ipckit.rpc.procedure import Procedure
    from ipckit.sockets import inet, unix

__all__ = ["Client"]


class Client(Handle):
    """The calls of a program in one version, over a TCP connection, a Unix stream socket, or UDP.

    Threads share a client: their calls are in flight at the same time, and replies come in any order. A call that
    gave up leaves the connection usable; its reply, if one comes late, is ignored. A signal handler must not call
    over the client that its own thread is waiting on (BusyError). After fork(2) the connection stays the parent's; the
    child's first call makes another one. A pickle holds the address, and makes a connection where it is unpickled.

    Over a connection a call is made once or, where that broke, perhaps not at all. Over UDP it is sent again until
    its reply comes, so a server that remembers no calls may run it more than once.

    >>> from ipckit import rpc
    >>> try:
    ...     rpc.Client.connect_unix("/nowhere/rpcbind.sock", 100000, 4)
    ... except FileNotFoundError as error:
    ...     print(error.strerror)
    No such file or directory
    """

    __slots__ = ("_caller", "_line")

    pollable = True

    def __init__(self, caller: Caller, line: Line) -> None:
        super().__init__()
        self._caller = caller
        self._line = line

    @classmethod
    def connect_tcp(
        cls,
        host: str,
        port: int,
        program: int,
        version: int,
        *,
        credential: Credential | None = None,
        max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
        reconnect: bool = False,
        timeout: float | None = None,
    ) -> Self:
        """Connect to the server at *host* and *port*.

        Args:
            program: its number.
            version: of the program.
            credential: who calls, such as `AuthSys.of_this_process`; None says nothing.
            max_message_size: bytes of a call or a reply, heads included.
            reconnect: whether a call that finds the connection broken makes a new one first. Those that were in
                flight when it broke fail, for nobody knows whether they were made.
            timeout: seconds; None waits until the kernel gives up.

        Raises:
            As `ipckit.sockets.inet.Stream.connect`.
        """
        caller = Caller(program, version, credential, max_message_size)
        return cls._connected(caller, partial(tcp, (host, port), max_message_size), timeout, reconnect=reconnect)

    @classmethod
    def connect_unix(
        cls,
        path: unix.Address,
        program: int,
        version: int,
        *,
        credential: Credential | None = None,
        max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
        reconnect: bool = False,
        timeout: float | None = None,
    ) -> Self:
        r"""Connect to the server at *path*, or at an abstract name, ``"\0name"``; otherwise as `connect_tcp`.

        Raises:
            As `ipckit.sockets.unix.Stream.connect`.
        """
        caller = Caller(program, version, credential, max_message_size)
        return cls._connected(caller, partial(local, path, max_message_size), timeout, reconnect=reconnect)

    @classmethod
    def connect_udp(
        cls,
        host: str,
        port: int,
        program: int,
        version: int,
        *,
        credential: Credential | None = None,
        max_message_size: int = MOST_DATAGRAM,
        retry_interval: float = 0.5,
    ) -> Self:
        """Call the server at *host* and *port* by UDP; nothing is sent yet.

        Args:
            max_message_size: bytes of a call, its head included, at most 65507. Many servers take 8800 and no more.
            retry_interval: seconds after which a call that has no reply is sent again; each further time after twice
                as long, up to 8 s.

        Raises:
            As `ipckit.sockets.inet.Datagram.connect`.
        """
        interval_ns = interval_of(retry_interval)
        caller = Caller(program, version, credential, min(max_message_size, MOST_DATAGRAM))
        return cls._connected(caller, partial(udp, (host, port), interval_ns))

    @classmethod
    def adopt(
        cls,
        stream: inet.Stream | unix.Stream,
        program: int,
        version: int,
        *,
        credential: Credential | None = None,
        max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
    ) -> Self:
        """Call over a connection that is there already, such as one end of a pair; the client closes it.

        Nobody else may read from it or write to it; in a forked child calls raise BrokenPeerError.
        """
        caller = Caller(program, version, credential, max_message_size)
        return cls(caller, Line(StreamLink(stream, max_message_size), None, reconnects=False))

    @classmethod
    def _connected(
        cls, caller: Caller, connect: Connect, timeout: float | None = None, *, reconnect: bool = False
    ) -> Self:
        deadline = None if timeout is None else Deadline.after(timeout)
        return cls(caller, Line(connect(deadline), connect, reconnects=reconnect))

    @property
    def program(self) -> int:
        """The number of the program that is called."""
        return self._caller.program

    @property
    def version(self) -> int:
        """Its version."""
        return self._caller.version

    def fileno(self) -> int:
        """The socket's descriptor, ours to read from and to close; with `reconnect` it may become another one."""
        self._check_open()
        return self._line.link.handle.fileno()

    def set_spin(self, seconds: float) -> None:
        """Spin for so long, at most, before sleeping until a reply comes; 0 never spins.

        The default is 200 microseconds. Where it was in vain the next calls do without.
        """
        self._check_open()
        self._line.link.spin.allowance.set(seconds)

    def call(self, procedure: Procedure, *arguments: Any, timeout: float | None = None) -> Any:
        """Call *procedure* and return its result.

        Args:
            arguments: as many as the procedure takes.
            timeout: seconds; None waits for ever. The server is not told that the time is up.

        Raises:
            XdrError: an argument, or the result, is not of its type; an argument: nothing was sent.
            RpcError: the server answers that it does not make the call; the classes below it say why.
            TimeoutExpired: there was no reply in time (ETIMEDOUT); the call may have been made.
            BrokenPeerError: the connection broke (ECONNRESET, EPIPE); the call may have been made.
            MessageTooLargeError: call or reply exceed `max_message_size` (EMSGSIZE).
        """
        reply, start = self._exchange(procedure.number, procedure.arguments.encode(arguments), timeout)
        return procedure.result.decode_from(reply, start)[0]

    def call_raw(self, number: int, data: bytes = b"", timeout: float | None = None) -> bytes:
        """Call procedure *number* with arguments that are encoded already; return the result, encoded.

        Raises:
            As `call`.
        """
        reply, start = self._exchange(number, data, timeout)
        return reply[start:]

    def send(self, procedure: Procedure, *arguments: Any, timeout: float | None = None) -> None:
        """Send a call for which no reply is waited: a one-way call, or one of a batch.

        Whether it was made, a later `call` tells, if the server does one call after the other.

        Raises:
            As `call`; TimeoutExpired where there was no room to send (ETIMEDOUT).
        """
        self.send_raw(procedure.number, procedure.arguments.encode(arguments), timeout)

    def send_raw(self, number: int, data: bytes = b"", timeout: float | None = None) -> None:
        """As `send`, with arguments that are encoded already."""
        deadline = None if timeout is None else Deadline.after(timeout)
        self._check_open()
        head = self._caller.head(self._caller.new_xid(), number, len(data))
        self._line.send(head, data, deadline)

    def _exchange(self, number: int, data: bytes, timeout: float | None) -> tuple[bytes, int]:
        """Call; return the reply, and where the result begins in it."""
        deadline = None if timeout is None else Deadline.after(timeout)
        self._check_open()
        caller, tries = self._caller, 0
        while True:
            xid = caller.new_xid()
            reply = self._line.call(xid, caller.head(xid, number, len(data)), data, deadline)
            try:
                return reply, caller.result_at(reply, number)
            except RpcError as error:
                tries += 1
                if tries > 1 or not caller.refreshes(error):
                    raise

    def _release(self) -> None:
        self._line.close()

    def _describe(self) -> str:
        return f"{self._caller} over {self._line.link.handle!r}"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        self._check_open()
        line, caller = self._line, self._caller
        if line.connect is None:
            return super().__reduce__()
        return _connected_again, (type(self), caller.facts, line.connect, line.reconnects)


def _connected_again(cls: type[Client], facts: tuple[Any, ...], connect: Connect, reconnect: bool) -> Client:  # noqa: FBT001 of a pickle
    return cls._connected(Caller(*facts), connect, reconnect=reconnect)
