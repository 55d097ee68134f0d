"""TCP: tcp(7)."""

from __future__ import annotations

import errno
import socket
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ipckit._wait import Deadline
from ipckit.errors import syscall_error
from ipckit.sockets._accepting import ConnectionT, ListeningSocket
from ipckit.sockets._bytes import StreamSocket
from ipckit.sockets._inet import InetSocket, bound, set_option
from ipckit.sockets._inet_connecting import connect
from ipckit.sockets._resolution import resolve

if TYPE_CHECKING:
    from typing_extensions import Self

    from ipckit.sockets._resolution import Address


class KeepAlive(NamedTuple):
    """When to ask a silent other side whether it is still there: TCP_KEEPIDLE, _KEEPINTVL, _KEEPCNT of tcp(7)."""

    idle: int = 60
    """Seconds of silence before the first question."""
    interval: int = 10
    """Seconds between questions."""
    count: int = 5  # type: ignore[assignment]  # tuple.count is of no use here
    """How many unanswered questions break the connection."""


class Stream(StreamSocket, InetSocket):
    """One end of a TCP connection: bytes both ways, in order, without boundaries.

    `write` and `read` move bytes; `send` and `receive` move whole messages by putting each one's length before it:
    use them on both sides or on neither. Threads may share a Stream, and take turns in `send` and in `receive`; what
    several processes send, and long writes of several threads, interleaves. After fork(2) both processes have the
    same connection.

    The other side's orderly end is the end of the stream; its reset, or its machine's silence where `keep_alive` is
    set, is BrokenPeerError. No SIGPIPE. An urgent byte (MSG_OOB) of the other side comes in its place in the stream
    (SO_OOBINLINE), and there is no verb to send one.

    >>> with Stream.listen(("127.0.0.1", 0)) as listener:
    ...     with Stream.connect(listener.address, timeout=5) as client, listener.accept(timeout=5) as server:
    ...         client.send(b"question")
    ...         server.receive(timeout=5)
    b'question'
    """

    __slots__ = ()

    @classmethod
    def connect(
        cls,
        address: Address,
        *,
        timeout: float | None = None,
        source: Address | None = None,
        no_delay: bool = True,
    ) -> Self:
        """Connect to the listener at *address*.

        A name that stands for several addresses has them tried in turn, each but the last for its equal share of the
        time left. To look a name up waits for the system's resolver, which no timeout here ends; the time it takes
        counts. A numeric host takes none.

        Args:
            address: host (a name, an IPv4 or IPv6 number) and port.
            timeout: seconds; None waits until the kernel gives up, some two minutes; 0 never waits, and succeeds
                only where the answer is there at once.
            source: the own address; port 0 lets the kernel choose.
            no_delay: as `no_delay`.

        Raises:
            NotFoundError: nobody knows the name.
            BrokenPeerError: nobody listens there (ECONNREFUSED).
            TimeoutExpired: nobody answered in time (ETIMEDOUT).
            SyscallError: there is no way there (ENETUNREACH, EHOSTUNREACH).
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        own = None if source is None else resolve(source, cls._kind, passive=True)
        return connect(cls, resolve(address, cls._kind), deadline, own, partial(_prepare, no_delay=no_delay))

    @classmethod
    def listen(
        cls,
        address: Address,
        *,
        backlog: int = 128,
        reuse_port: bool = False,
        dual_stack: bool = False,
        no_delay: bool = True,
    ) -> Listener[Self]:
        """Listen at *address*. A port on which connections of an ended listener linger (TIME_WAIT) is free.

        Args:
            address: host and port. "" is every own IPv4 address, "::" every IPv6 one. Port 0 lets the kernel choose
                a free one (`Listener.address` tells it), which nobody else can get as long as the listener lives.
            backlog: how many connections wait to be accepted, at most sysctl net.core.somaxconn.
            reuse_port: share the port with other listeners of this user that say so, too: SO_REUSEPORT. The kernel
                spreads connections over them; those that wait in the backlog of one that ends are reset.
            dual_stack: for "::" and "": take IPv4 connections too; they come from "::ffff:1.2.3.4".
            no_delay: as `no_delay`, for the connections.

        Raises:
            AlreadyExistsError: another listener has the port (EADDRINUSE).
            AccessError: the port needs a privilege (EACCES).
            NotFoundError: nobody knows the name.
            SyscallError: no interface has the address (EADDRNOTAVAIL).
        """
        sock = bound(address, cls._kind, reuse_port=reuse_port, dual_stack=dual_stack)
        try:
            _prepare(sock, no_delay=no_delay)  # connections inherit it
            try:
                sock.listen(backlog)
            except OSError as error:
                raise syscall_error(error.errno or errno.EIO, "listen", str(address)) from None
            return Listener(sock, cls)
        except BaseException:
            sock.close()
            raise

    @property
    def no_delay(self) -> bool:
        """Whether small writes go out at once: TCP_NODELAY. On, unless said otherwise.

        Off, a small write waits for the answer to the one before it, which a receiver that has nothing to say delays
        by some 40 ms: right for many small writes that nobody answers, wrong for messages.
        """
        return bool(self._get_option(socket.IPPROTO_TCP, socket.TCP_NODELAY, "getsockopt(TCP_NODELAY)"))

    @no_delay.setter
    def no_delay(self, value: bool) -> None:
        self._set_option(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(value), "setsockopt(TCP_NODELAY)")

    @property
    def keep_alive(self) -> KeepAlive | None:
        """When to ask a silent other side whether it is still there; None: never, as it is at first.

        Without it, a machine that vanished is noticed only by those who write to it.
        """
        if not self._get_option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, "getsockopt(SO_KEEPALIVE)"):
            return None
        return KeepAlive(
            *(self._get_option(socket.IPPROTO_TCP, option, f"getsockopt({name})") for option, name, _ in _KEEP_ALIVE)
        )

    @keep_alive.setter
    def keep_alive(self, times: KeepAlive | None) -> None:
        if times is not None:
            for value, field, (option, name, most) in zip(times, times._fields, _KEEP_ALIVE, strict=True):
                if not 1 <= value <= most:
                    raise ValueError(f"keep_alive must have {field} from 1 to {most}, not {value!r}")
                self._set_option(socket.IPPROTO_TCP, option, value, f"setsockopt({name})")
        self._set_option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(times is not None), "setsockopt(SO_KEEPALIVE)")


class Listener(ListeningSocket[ConnectionT], InetSocket):
    """A listening TCP socket; `accept` gives the connections, in the order in which they were established.

    Safe for threads and forked workers to share: each connection goes to one of them. The socket is non-blocking
    and has to stay so, for another worker may be faster after each of poll(2)'s promises.
    """

    __slots__ = ()


_KEEP_ALIVE = (
    (socket.TCP_KEEPIDLE, "TCP_KEEPIDLE", 32767),
    (socket.TCP_KEEPINTVL, "TCP_KEEPINTVL", 32767),
    (socket.TCP_KEEPCNT, "TCP_KEEPCNT", 127),
)


def _prepare(sock: socket.socket, *, no_delay: bool) -> None:
    if no_delay:
        set_option(sock, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    set_option(sock, socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
