"""Serve remote procedure calls over TCP, UDP and Unix sockets: RFC 5531."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit.rpc._server.answer import Answerer
from ipckit.rpc._server.calls import NO_REPLY, Call, Targets
from ipckit.rpc._server.doorkeeper import Doorkeeper
from ipckit.rpc._server.registration import Registration
from ipckit.rpc._server.settings import MODES, check_handlers, check_listener, make_limits, make_plan
from ipckit.server.machinery import Life
from ipckit.sockets import inet, unix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from os import PathLike

    from ipckit.rpc._server.doorkeeper import Authenticate
    from ipckit.rpc.service import Service
    from ipckit.server.machinery import Peer, Switch

    OnError = Callable[[BaseException, Peer | None], object]

__all__ = ["MODES", "NO_REPLY", "Call", "Server"]


class Server(Life):
    """Serves services: calls their methods for whoever calls, and sends back what they return.

    In mode "threads" the methods are called in as many threads as there are calls at the same time, up to `workers`,
    so a slow procedure keeps nobody waiting; what they share needs locks. In mode "asyncio" they are called in the
    event loop, and may be coroutine functions. Calls that come over one connection are begun in their order and
    answered as they are ready.

    A method that raises gives the client `RemoteFailureError`, and ``on_error(error, peer)`` is told; one that raises
    an `RpcError`, such as `GarbageArgumentsError`, has the client get just that. It returns `NO_REPLY` for a procedure
    that nobody waits for.

    A server takes its listeners over, serves once, and closes them. `stop` may be called from any thread, from signal
    handlers, and from methods. A child that a serving process forks has no connection and no listener of it.

    >>> from ipckit import rpc
    >>> class Adder(rpc.Service):
    ...     PROGRAM, VERSION = 0x20000001, 1
    ...     PROCEDURES = (rpc.Procedure(1, "add", (int, int), int),)
    ...
    ...     def add(self, one: int, other: int) -> int:
    ...         return one + other
    >>> server = Server(Adder())
    >>> host, port = server.listen_tcp("127.0.0.1")
    >>> with server, rpc.Client.connect_tcp(host, port, 0x20000001, 1) as client:
    ...     client.call(Adder.PROCEDURES[0], 2, 3, timeout=5)
    5
    """

    def __init__(
        self,
        *services: Service,
        listeners: Iterable[Any] = (),
        mode: str = "threads",
        workers: int | None = None,
        max_message_size: int | None = None,
        max_connections: int | None = None,
        max_calls: int | None = None,
        idle_timeout: float | None = None,
        message_timeout: float | None = 60.0,
        authenticate: Authenticate | None = None,
        check_peer: bool = True,
        register: bool | str | PathLike[str] = False,
        on_error: OnError | None = None,
    ) -> None:
        """Check the settings; nothing is served yet.

        Args:
            services: one for each version of each program.
            listeners: of Unix or TCP streams, and bound UDP sockets, beside those that the ``listen_`` methods make.
            mode: "threads" or "asyncio".
            workers: threads at most: 4, and 4 more for each CPU, unless given. When all of them are inside methods,
                calls wait.
            max_message_size: bytes of a call and of a reply, headers included: 16 MiB unless given. Over UDP it is
                65507 at most.
            max_connections: at the limit (1000 unless given) no more are accepted; they wait in the backlog.
            max_calls: how many calls of one connection are read before the first of them is answered: 64 unless
                given.
            idle_timeout: seconds that a connection may last without a call; None: for ever.
            message_timeout: seconds that a client has to send the whole of a message that it has begun, and to take
                a reply; None: for ever.
            authenticate: ``authenticate(call, credential, verifier)`` is asked before each call but those of
                procedure 0 without a credential; it raises what `authentication_error` makes to refuse the call, and
                returns the verifier of the reply, or None. Without it AUTH_NONE and AUTH_SYS are taken.
            check_peer: whether AUTH_SYS on a Unix socket has to name a user and groups that the calling process has;
                root's processes may name any.
            register: True, or the path of its socket: tell rpcbind of all programs when the server starts, in place
                of what it was told before, and take that back when it stops.
            on_error: called with what went wrong and the `ipckit.server.Peer`, or None where it was none, in the
                thread where it happened; by default the logger ``ipckit.server``.

        Raises:
            ValueError, TypeError: a setting is wrong, or two services are of the same program and version.
        """
        self._limits = make_limits(mode=mode, max_calls=max_calls, message_timeout=message_timeout, workers=workers)
        self._plan = make_plan(
            mode=mode,
            max_connections=max_connections,
            max_message_size=max_message_size,
            idle_timeout=idle_timeout,
            on_error=on_error,
        )
        targets = Targets(services)
        check_handlers(targets, mode)
        super().__init__(mode)
        self._services = targets.services
        self._listeners = [check_listener(listener) for listener in listeners]
        self._answerer = Answerer(targets, Doorkeeper(authenticate, check_peer=check_peer), self._plan)
        where = None if register is True else register
        self._registration = None if register is False else Registration(self._services, where, self._plan.report)

    @property
    def listeners(self) -> tuple[Any, ...]:
        """What it serves, in the order of making; the server's to close."""
        return tuple(self._listeners)

    def listen_tcp(self, host: str = "", port: int = 0, **how: Any) -> inet.Address:
        """Serve a TCP port; return its address.

        Args:
            host: "" is every own IPv4 address.
            port: 0 lets the kernel choose.
            how: the other arguments of `inet.Stream.listen`.

        Raises:
            AlreadyExistsError: another listener has the port (EADDRINUSE).
        """
        listener = inet.Stream.listen((host, port), **how)
        self._listeners.append(listener)
        return listener.address

    def listen_udp(self, host: str = "", port: int = 0, **how: Any) -> inet.Address:
        """Serve a UDP port; return its address.

        Args:
            host: "" is every own IPv4 address.
            port: 0 lets the kernel choose.
            how: the other arguments of `inet.Datagram.bind`.

        Raises:
            AlreadyExistsError: another socket has the port (EADDRINUSE).
        """
        bound = inet.Datagram.bind((host, port), **how)
        self._listeners.append(bound)
        return bound.address

    def listen_unix(self, path: Any = None, **how: Any) -> str | bytes:
        """Serve a Unix socket, of stream type; return its address.

        Args:
            path: None: an abstract name that the kernel chooses.
            how: the other arguments of `unix.Stream.listen`, such as ``mode=0o666``: 0600 is for the own user alone.

        Raises:
            AlreadyExistsError: a live socket, or something else, is there (EADDRINUSE).
        """
        listener = unix.Stream.listen(path, **how)
        self._listeners.append(listener)
        return listener.getsockname()

    def set_spin(self, seconds: float) -> None:
        """Spin for so long, at most, before sleeping until the client's next call comes; 0 never spins.

        The default is 200 microseconds. Where it was in vain the next calls of the connection do without. In mode
        "asyncio" nothing spins.
        """
        self._limits.spinning.set(seconds)

    def __repr__(self) -> str:
        names = ", ".join(service.NAME or f"{service.PROGRAM:#x}" for service in self._services)
        return f"<rpc.Server {self._mode} of {names or 'nothing'} at {self._listeners!r}>"

    def _make_loop(self, switch: Switch) -> Any:
        if not self._listeners:
            raise ValueError("a server needs listeners: call listen_tcp, listen_udp or listen_unix before it serves")
        if self._mode == "asyncio":
            from ipckit.rpc._server.in_asyncio import Asyncio as Kind  # takes long to import for who does not use it
        else:
            from ipckit.rpc._server.in_threads import Threads as Kind  # type: ignore[assignment]
        if self._registration is not None:
            self._registration.begin(self._listeners)
        return Kind(self._plan, self._answerer, switch, self._listeners, self._limits)

    def _let_go(self) -> None:
        if self._registration is not None:
            self._registration.end()
        for listener in self._listeners:
            self._plan.close(listener)

    def _refuse(self) -> None:
        """Never called: no mode serves in a child."""
