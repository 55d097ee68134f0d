"""Keys as they are pressed, without a newline, and the terminal's modes as they were before: termios(3)."""

from __future__ import annotations

import os
import select
import signal
import termios
import tty
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from ipckit._wait import Deadline

GONE = "gone"
"""What `Keyboard.wait` returns when the terminal is."""
SIGNALLED = "signalled"
"""What it returns when a signal was handled: the window may have another size."""

_STDIN = 0
_MOST = 64  # bytes that are read at once: more than any key sends


class Keyboard:
    """Single keys from standard input, until the end of `with`; without a terminal there, none ever come.

    ^C and ^Z stay signals. It belongs to the main thread, for it has every signal end `wait`.
    """

    def __init__(self) -> None:
        self._modes: list[Any] | None = None
        self._listening = False
        self._before: Any = None
        self._wakeup_before = -1
        self._ends: tuple[int, int] = (-1, -1)

    def __enter__(self) -> Self:
        # A signal that comes just before poll(2) would be noticed only when that ends: so it writes here.
        self._ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup_before = signal.set_wakeup_fd(self._ends[1], warn_on_full_buffer=False)
        self._before = signal.signal(signal.SIGWINCH, lambda *_: None)
        self._listening = os.isatty(_STDIN)
        self.take()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, traceback: TracebackType | None) -> None:
        self.give_back()
        signal.signal(signal.SIGWINCH, self._before)
        signal.set_wakeup_fd(self._wakeup_before)
        for end in self._ends:
            os.close(end)

    def take(self) -> None:
        """Have keys come one by one, and not be shown."""
        if self._listening:
            try:
                self._modes = termios.tcgetattr(_STDIN)
                tty.setcbreak(_STDIN, termios.TCSANOW)  # nothing that waits for a terminal stopped by ^S
            except termios.error:
                self._listening = False

    def give_back(self) -> None:
        """Set the modes as they were; harmless where that was done."""
        modes, self._modes = self._modes, None
        if modes is not None:
            try:
                termios.tcsetattr(_STDIN, termios.TCSANOW, modes)
            except termios.error:  # the terminal is gone
                pass

    def wait(self, deadline: Deadline) -> str:
        """The next key; "" if none came in time, `SIGNALLED`, or `GONE`."""
        poll = select.poll()
        poll.register(self._ends[0], select.POLLIN)
        if self._listening:
            poll.register(_STDIN, select.POLLIN)
        left = deadline.left()
        ready = dict(poll.poll(None if left is None else left * 1000))
        if self._ends[0] in ready:
            os.read(self._ends[0], _MOST)
            return SIGNALLED
        if _STDIN in ready:
            try:
                key = os.read(_STDIN, _MOST)
            except OSError:
                key = b""
            return key.decode("ascii", "replace") or GONE
        return ""
