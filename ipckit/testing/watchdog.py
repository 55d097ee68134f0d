"""A watchdog against hangs: it shows where everything stands, and ends it."""

from __future__ import annotations

import faulthandler
import os
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ipckit._wait import Deadline
from ipckit.errors import ClosedError
from ipckit.testing._wire import DUMP_SIGNAL

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_BOOT = "import sys; sys.path[:] = {path!r}; from ipckit.testing._watchdog_main import main; main({orders}, {parent})"

_watching: list[Watchdog] = []  # the signal has one handler, which must outlive an inner watchdog


class Watchdog:
    """Unless told otherwise in time, shows all stacks of this process and its children and kills them all.

    It is a child of the process that it watches, and ends with it: neither a held GIL nor blocked signals stop it, and
    the process has no additional thread, which would make fork(2) unsafe. While it is there, the signal
    `ipckit.testing._wire.DUMP_SIGNAL` is taken: its handler writes the Python stacks to stderr.
    As `faulthandler` does, it reads them without the GIL: while other threads run, the process may die of that before.

    A fork(2) of the process must not use it. Threads: one at a time.

    >>> with Watchdog(30) as watchdog:
    ...     watchdog.feed(60)
    ...     sum(range(4))
    6
    """

    def __init__(self, seconds: float = 60, *, stderr: int | None = None) -> None:
        """Start it.

        Args:
            seconds: until it bites.
            stderr: the descriptor of a file, pipe or terminal that gets the report; our standard error by default.
        """
        Deadline.after(seconds)  # refuses what is no time
        with ExitStack() as passed, ExitStack() as kept:
            self._stderr = os.dup(2 if stderr is None else stderr)
            kept.callback(os.close, self._stderr)
            theirs, self._orders = os.pipe2(os.O_CLOEXEC)
            passed.callback(os.close, theirs)
            kept.callback(os.close, self._orders)
            boot = _BOOT.format(path=sys.path, orders=theirs, parent=os.getpid())
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-E", "-c", boot],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                pass_fds=(theirs,),
                start_new_session=True,  # Ctrl-C is for the watched alone
            )
            kept.pop_all()
        self._closed = False
        _watching.append(self)
        faulthandler.register(DUMP_SIGNAL, file=self._stderr, all_threads=True)
        self.feed(seconds)

    @property
    def pid(self) -> int:
        """The watchdog's process id."""
        return self._process.pid

    def feed(self, seconds: float, what: str = "") -> None:
        """Let *seconds* pass from now on, instead of what was set before.

        Args:
            seconds: until it bites.
            what: what is going on, for the report; cut at 500 characters.
        """
        self._tell(Deadline.after(seconds).at_ns if seconds else 1, what)

    def rest(self) -> None:
        """Bite no more until the next `feed`."""
        self._tell(0, "")

    def close(self) -> None:
        """End it; again: does nothing."""
        if self._closed:
            return
        self._closed = True
        os.close(self._orders)
        self._process.wait()
        _watching.remove(self)
        if _watching:
            faulthandler.register(DUMP_SIGNAL, file=_watching[-1]._stderr, all_threads=True)
        else:
            faulthandler.unregister(DUMP_SIGNAL)
        os.close(self._stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _tell(self, at_ns: int, what: str) -> None:
        if self._closed:
            raise ClosedError("Watchdog is closed")
        # One line of less than PIPE_BUF bytes is read whole: pipe(7).
        line = f"{at_ns} {what[:500]!a}\n"
        os.write(self._orders, line.encode())
