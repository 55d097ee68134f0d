"""What users hold: the settings of a server, and how it is started and stopped."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ipckit._wait import NEVER_NS, Deadline
from ipckit.errors import ClosedError
from ipckit.server._background import LATE_NS, InProcess, InThread
from ipckit.server._processes import Processes
from ipckit.server._selector import Selector
from ipckit.server._settings import MODES, connects, make_plan, source_of
from ipckit.server._switch import Switch
from ipckit.server._threads import Threads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType

    from typing_extensions import Self

    from ipckit.server._lifeline import Lifeline
    from ipckit.server._plan import Handler, OnError

__all__ = ["MODES", "Server"]

GRACE_SECONDS = 10.0


class Server:
    """Calls one function with every message of every peer, and sends back what it returns.

    ``handler(message, peer)`` gets one whole message (`bytes`) and the `Peer`, and returns the reply (any buffer), or
    None for no reply. On stream sockets messages are framed as `Stream.send` and `receive` frame them. The messages
    of one connection are handled one at a time, in order, each reply sent before the next message is read; those of
    different connections at the same time, as far as the mode allows:

    ===========  =======================================================================================
    mode         the handler runs
    ===========  =======================================================================================
    processes    in a child for each connection: what it changes in memory the others do not see
    threads      in a thread for each connection: what the threads share needs locks
    selector     in one thread for all: while it runs, everybody waits
    asyncio      in the event loop; it may be a coroutine function, and while it awaits others are served
    ===========  =======================================================================================

    A handler that raises closes that connection; ``on_error(error, peer)`` is told (by default the logger
    ``ipckit.server``), and the server goes on. A server takes its listener over, serves once, and closes it.
    `stop` may be called from any thread, from signal handlers, from a handler, and from a forked child.

    >>> from ipckit.sockets.unix import Stream
    >>> listener = Stream.listen(None)
    >>> address = listener.getsockname()
    >>> with Server(listener, lambda message, peer: message.upper(), mode="selector"):
    ...     with Stream.connect(address) as client:
    ...         client.send(b"hello")
    ...         client.receive(timeout=5)
    b'HELLO'
    """

    def __init__(
        self,
        listener: Any,
        handler: Handler,
        *,
        mode: str = "threads",
        max_connections: int | None = None,
        max_message_size: int | None = None,
        idle_timeout: float | None = None,
        workers: int | None = None,
        on_error: OnError | None = None,
    ) -> None:
        """Check the settings; nothing is served yet.

        Args:
            listener: of `sockets.unix` or `sockets.inet`; a `Fifo`, or a `MessageQueue`, which carry no replies.
            handler: see above; a coroutine function only in mode "asyncio".
            mode: one of `MODES`.
            max_connections: at the limit (1000 unless given) no more are accepted; they wait in the backlog.
            max_message_size: bytes of a message, either way: 1 MiB unless given, for a Fifo PIPE_BUF less 4.
            idle_timeout: seconds that a peer has for its next whole message, and to take a whole reply; None: for
                ever.
            workers: for a Fifo or queue in mode "threads" or "processes", how many share it: one for each CPU unless
                given. With more than one, messages are handled in no particular order.
            on_error: called with what went wrong and the `Peer`, or None where it was no peer; where it happened: in
                that thread, or that child.

        Raises:
            ValueError, TypeError: a setting is wrong, or that listener cannot be served in that mode.
        """
        self._plan = make_plan(
            listener,
            handler,
            mode=mode,
            max_connections=max_connections,
            max_message_size=max_message_size,
            idle_timeout=idle_timeout,
            workers=workers,
            on_error=on_error,
        )
        self._listener = listener
        self._mode = mode
        self._loop = _loop_of(mode)
        self._switch: Switch | None = None
        self._stop_ns: int | None = None
        self._background: InThread | InProcess | None = None

    @property
    def mode(self) -> str:
        """One of `MODES`."""
        return self._mode

    @property
    def listener(self) -> Any:
        """What it serves; it is the server's to close."""
        return self._listener

    def serve_forever(self) -> None:
        """Serve until `stop`, or until the FIFO or queue is no more; then close the listener.

        Whatever ends it otherwise, such as KeyboardInterrupt, cuts off all that goes on.
        """
        self._claim()
        self._serve(None)

    async def serve(self) -> None:
        """As `serve_forever`, inside a running event loop; cancelling it cuts off all that goes on."""
        if self._mode != "asyncio":
            raise ValueError(f'serve() is for mode="asyncio"; this is {self._mode!r}: call serve_forever()')
        switch = self._claim()
        switch.attend()
        try:
            await self._loop(self._plan, switch, self._listener, source_of(self._listener, self._plan)).run()
        finally:
            self._listener.close()
            switch.close()

    def stop(self, grace: float | None = GRACE_SECONDS) -> None:
        """Ask the server to stop, and return at once.

        It closes the listener and the connections where nothing is going on; lets handlers finish, sends their
        replies, then closes those too. Before the server runs, it has it stop as soon as it does. Called again, it
        can only shorten the time.

        Args:
            grace: seconds until those that have not finished are cut off; None: never.
        """
        deadline_ns = max(Deadline.after(grace).at_ns, time.monotonic_ns())  # 0 has passed long ago
        self._stop_ns = deadline_ns if self._stop_ns is None else min(self._stop_ns, deadline_ns)
        switch = self._switch
        if switch is not None:
            switch.stop(deadline_ns)

    @contextmanager
    def stop_on_signals(self, *signums: int, grace: float | None = GRACE_SECONDS) -> Iterator[None]:
        """While in the ``with`` block: the first of these signals calls ``stop(grace)``, the second one ``stop(0)``.

        Args:
            signums: SIGTERM and SIGINT unless given.
            grace: seconds, as for `stop`.

        Raises:
            ValueError: this is not the main thread; only that one may set signal handlers.
        """
        received: list[int] = []

        def handle(signum: int, _frame: FrameType | None) -> None:
            received.append(signum)
            self.stop(grace if len(received) == 1 else 0)

        old = {}
        try:
            for signum in signums or (signal.SIGTERM, signal.SIGINT):
                old[signum] = signal.signal(signum, handle)
            yield
        finally:
            for signum, former in old.items():
                signal.signal(signum, signal.SIG_DFL if former is None else former)

    def __enter__(self) -> Self:
        """Serve beside the program: in a thread, in mode "processes" in a child of its own."""
        switch = self._claim()
        if self._mode == "processes":
            self._background = InProcess(self._serve, switch)
        else:
            self._background = InThread(self._serve)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and wait until everything has ended."""
        background = self._background
        assert background is not None
        if self._stop_ns is None:
            self.stop()
        try:
            if isinstance(background, InProcess) and connects(self._listener):
                self._listener.close()  # or clients would go on coming, and wait in vain
            background.join(Deadline(min((self._stop_ns or 0) + LATE_NS, NEVER_NS)))
        finally:
            if isinstance(background, InProcess):
                self._listener.close()

    def __repr__(self) -> str:
        return f"<Server {self._mode} of {self._listener!r}>"

    def _claim(self) -> Switch:
        if self._switch is not None:
            raise ClosedError("a Server serves once; make another one, with another listener")
        self._switch = switch = Switch()
        if self._stop_ns is not None:
            switch.stop(self._stop_ns)
        return switch

    def _serve(self, owner: Lifeline | None) -> None:
        switch = self._switch
        assert switch is not None
        switch.attend()
        try:
            loop = self._loop(self._plan, switch, self._listener, source_of(self._listener, self._plan))
            if self._mode == "asyncio":
                import asyncio

                asyncio.run(loop.run())
            else:
                loop.run(owner)
        finally:
            self._listener.close()
            switch.close()


def _loop_of(mode: str) -> Any:
    """The class that serves in *mode*; asyncio takes long to import for who does not use it."""
    if mode == "asyncio":
        from ipckit.server._asyncio import Asyncio

        return Asyncio
    return {"processes": Processes, "selector": Selector, "threads": Threads}[mode]
