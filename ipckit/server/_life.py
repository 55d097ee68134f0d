"""How a server begins and ends, whatever it serves."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from ipckit._wait import NEVER_NS, Deadline
from ipckit.errors import ClosedError
from ipckit.server._background import LATE_NS, InProcess, InThread
from ipckit.server._switch import Switch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType

    from typing_extensions import Self

    from ipckit.server._lifeline import Lifeline

GRACE_SECONDS = 10.0


class Loop(Protocol):
    """What serves: until the switch that it was made with says stop."""

    def run(self, owner: Lifeline | None = None) -> Any:
        """Serve; in mode "asyncio" a coroutine."""


class Life:
    """Serves once. A subclass makes the loop, and closes what the server was given to serve."""

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._switch: Switch | None = None
        self._stop_ns: int | None = None
        self._background: InThread | InProcess | None = None

    @property
    def mode(self) -> str:
        """How it waits, as given."""
        return self._mode

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
            await self._make_loop(switch).run()
        finally:
            self._let_go()
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
        try:
            if self._mode == "processes":
                self._background = InProcess(self._serve, switch)
            else:
                self._background = InThread(self._serve)
        except BaseException:
            self._let_go()
            switch.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and wait until everything has ended."""
        background = self._background
        assert background is not None
        if self._stop_ns is None:
            self.stop()
        in_process = isinstance(background, InProcess)
        try:
            if in_process:
                self._refuse()
            background.join(Deadline(min((self._stop_ns or 0) + LATE_NS, NEVER_NS)))
        finally:
            if in_process:
                self._let_go()

    def _make_loop(self, switch: Switch) -> Loop:
        """What is to run."""
        raise NotImplementedError

    def _let_go(self) -> None:
        """Close what the server was given to serve; may be called again."""
        raise NotImplementedError

    def _refuse(self) -> None:
        """Where a child serves: have this process hold nothing that clients could still come to."""
        raise NotImplementedError

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
            loop = self._make_loop(switch)
            if self._mode == "asyncio":
                import asyncio  # takes long to import for who does not use it

                asyncio.run(loop.run())
            else:
                loop.run(owner)
        finally:
            self._let_go()
            switch.close()
