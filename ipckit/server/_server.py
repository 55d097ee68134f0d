"""What users hold: the settings of a server, and the loop for its mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit.server._life import Life
from ipckit.server._processes import Processes
from ipckit.server._selector import Selector
from ipckit.server._settings import MODES, connects, make_plan, source_of
from ipckit.server._threads import Threads

if TYPE_CHECKING:
    from ipckit.server._plan import Handler, OnError
    from ipckit.server._switch import Switch

__all__ = ["MODES", "Server"]


class Server(Life):
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
        super().__init__(mode)
        self._listener = listener
        self._kind = _loop_of(mode)

    @property
    def listener(self) -> Any:
        """What it serves; it is the server's to close."""
        return self._listener

    def __repr__(self) -> str:
        return f"<Server {self._mode} of {self._listener!r}>"

    def _make_loop(self, switch: Switch) -> Any:
        return self._kind(self._plan, switch, self._listener, source_of(self._listener, self._plan))

    def _let_go(self) -> None:
        self._plan.close(self._listener)

    def _refuse(self) -> None:
        if connects(self._listener):
            self._plan.close(self._listener)  # or clients would go on coming, and wait in vain


def _loop_of(mode: str) -> Any:
    """The class that serves in *mode*; asyncio takes long to import for who does not use it."""
    if mode == "asyncio":
        from ipckit.server._asyncio import Asyncio

        return Asyncio
    return {"processes": Processes, "selector": Selector, "threads": Threads}[mode]
