"""The watchdog's own process: wait for the deadline; then report on the watched process, and end it."""

from __future__ import annotations

import os
import select
import signal
import sys
import time

from ipckit.testing import _procfs

_LONGEST_MS = 24 * 3600 * 1000  # poll(2) takes an int of milliseconds, some 24 days
_PATIENCE_MS = 5000  # with who should read the report


def main(orders: int, parent: int) -> None:
    """Serve *orders*, lines of a deadline (nanoseconds of CLOCK_MONOTONIC; 0: none) and a text, until their end."""
    try:
        watched = os.pidfd_open(parent)
    except ProcessLookupError:
        return
    poller = select.poll()
    poller.register(orders, select.POLLIN)
    poller.register(watched, select.POLLIN)
    at_ns, what, rest = 0, "", ""
    while True:
        left_ns = at_ns - time.monotonic_ns() if at_ns else None
        ready = poller.poll(None if left_ns is None else min(max(0, -(-left_ns // 1_000_000)), _LONGEST_MS))
        if any(fd == watched for fd, _ in ready):
            return
        if ready:
            data = os.read(orders, 65536).decode()
            if not data:
                return
            *lines, rest = (rest + data).split("\n")
            if lines:
                number, _, what = lines[-1].partition(" ")
                at_ns = int(number)
        elif left_ns is not None and left_ns <= _LONGEST_MS * 1_000_000:
            break
    _bite(watched, parent, what)


def _bite(watched: int, parent: int, what: str) -> None:
    # Stopped children must not be missed, nor children that a child starts while we look: parents come first.
    victims = [pid for pid in _procfs.descendants(parent) if pid != os.getpid()]
    try:
        _report(parent, victims, what)
    except OSError:
        pass  # nobody takes it
    try:
        signal.pidfd_send_signal(watched, signal.SIGSTOP)  # so that it starts no more of them
    except ProcessLookupError:
        pass
    for pid in [other for other in _procfs.descendants(parent) if other != os.getpid()]:
        _kill(pid)
    try:
        signal.pidfd_send_signal(watched, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _report(parent: int, victims: list[int], what: str) -> None:
    _say(f"\n=== watchdog: the time is up{', in ' + what if what != repr('') else ''} ===")
    for pid in [parent, *victims]:
        _say(_procfs.report(pid))
        stacks = _procfs.python_stacks(pid)
        if stacks and pid != parent:  # the watched process has written its own to this same file
            _say(stacks)
    _say(f"=== watchdog: kills {parent} and its children {victims} ===")


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # it has become another user's, as sudo(8) does
        pass


def _say(text: str) -> None:
    """Write it to standard error.

    Raises:
        OSError: nobody reads there; of a pipe that is full, after a while (TimeoutError).
    """
    file = sys.stderr.fileno()
    poller = select.poll()
    poller.register(file, select.POLLOUT)
    data = f"{text}\n".encode(errors="backslashreplace")
    while data:
        if not poller.poll(_PATIENCE_MS):
            raise TimeoutError
        data = data[os.write(file, data[: select.PIPE_BUF]) :]  # so much can be written to a pipe without waiting
