"""Children for tests: fresh interpreters that each run one named function."""

from __future__ import annotations

import errno
import os
import pickle
import select
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ipckit._wait import Deadline
from ipckit.errors import IPCError, SyscallError, TimeoutExpired
from ipckit.testing import _launch, _procfs
from ipckit.testing._conversation import SEND_SECONDS, Conversation
from ipckit.testing.blocked import until_blocked

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self


class ChildFailed(IPCError):
    """A child raised, was killed, or ended otherwise than expected.

    The exception that it raised is this one's ``__cause__`` where it can be pickled.

    Attributes:
        status: the exit status as in subprocess; None if the child still ran.
    """

    status: int | None = None


class Child:
    """A fresh interpreter that runs one function; `spawn` makes it, and `close`, or leaving ``with``, ends it.

    When a time limit expires, the message says in which system call the child is; nothing disturbs it, so that a test
    may also use a short limit as a question. If it still runs at the end, its Python stacks go to stderr then.

    The child never outlives this process, even if that is killed. One thread at a time may use a Child. A forked copy
    of this process must not use it.

    >>> from ipckit.testing import spawn
    >>> with spawn(int, "12", base=5) as child:
    ...     child.result()
    7
    """

    def __init__(self, function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        launched = _launch.launch(function, args, kwargs)
        self._name = launched.name
        self._process = launched.process
        self._talk = Conversation(launched.channel)
        self._child_fd = launched.child_fd
        self._lifeline = launched.lifeline
        self._stderr = launched.stderr
        self._token = launched.token
        self._pidfd = os.pidfd_open(self.pid)
        self._signals: set[int] = set()
        self._observed = False
        self._overdue = False
        self._closed = False
        self._output: str | None = None  # once its file is closed
        try:
            self._send(*launched.order)
        except BaseException:
            self._observed = True
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the child has not ended; never waits."""
        return not self._ended()

    def __repr__(self) -> str:
        status = self._process.returncode
        return f"<Child {self._name} pid={self.pid} {'running' if status is None else f'status={status}'}>"

    def wait_blocked(self, *syscalls: str, timeout: float = 20, tid: int | None = None) -> None:
        """Wait until the child sleeps in one of *syscalls*, or in any: see `ipckit.testing.wait_blocked`.

        Neither the start of the interpreter nor a wait in `pause` counts.

        Raises:
            TimeoutExpired: it did not.
            ChildFailed: it ended instead.
        """
        deadline = Deadline.after(timeout)
        self._wait(lambda: self._talk.started, deadline, f"start to run {self._name}", timeout)
        try:
            until_blocked(self.pid, syscalls, deadline, f"{timeout} s", tid=tid, ignore=self._child_fd)
        except TimeoutExpired:
            self._overdue = True
            raise
        except SyscallError as error:
            if error.errno != errno.ESRCH:
                raise
            self._wait(lambda: False, deadline, f"block in {' or '.join(syscalls) or 'a system call'}", timeout)

    def wait_reached(self, name: str, *, timeout: float = 20) -> None:
        """Wait until the child reached the checkpoint *name*, once more than it did at the last such wait.

        Raises:
            TimeoutExpired: it did not.
            ChildFailed: it ended before that.
        """
        self._wait(lambda: self._talk.arrived(name), Deadline.after(timeout), f"reach {name!r}", timeout)
        self._talk.taken[name] += 1

    def resume(self, name: str) -> None:
        """Let one ``pause(name)`` of the child pass, the one that it stands in or the next."""
        self._send("resume", name)

    def send_signal(self, signum: int) -> None:
        """Send a signal; if the child dies of it, that is no failure. A child that has ended gets none."""
        self._signals.add(signum)
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signum)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def join(self, timeout: float = 20) -> int:
        """Wait for the child's end and return its exit status; that of a signal is negative, as in subprocess.

        Raises:
            TimeoutExpired: it still runs.
        """
        self._wait_ended(timeout)
        self._observed = True
        return self._process.wait()

    def result(self, timeout: float = 20) -> Any:
        """Wait for the child's end and return what the function returned.

        Raises:
            ChildFailed: it raised or was killed; the message has the child's traceback and stderr.
            TimeoutExpired: it still runs.
        """
        self._wait_ended(timeout)
        self._observed = True
        if self._talk.returned is None or self._process.returncode:
            raise self._failure(f"ended with {self._status()}")
        return pickle.loads(self._talk.returned)

    def close(self) -> None:
        """Kill what still runs of the child and of its descendants, and let go of everything; again: does nothing.

        Raises:
            ChildFailed: the child had failed before, and neither `join` nor `result` nor a wait had told anybody.
        """
        if self._closed:
            return
        self._closed = True
        self._talk.drain()
        was_running = self.running
        if was_running and self._overdue:
            _procfs.python_stacks(self.pid)  # into its stderr, which is passed on
        self.kill()  # by itself: it may not have the environment yet by which its descendants are found
        _launch.end(self._token)
        self._ended(None)
        self._process.wait()
        _launch.spawned[self.pid] = time.monotonic()
        self._talk.drain()
        failed = not was_running and self._process.returncode and -self._process.returncode not in self._signals
        failure = self._failure(f"failed unobserved, with {self._status()}") if failed and not self._observed else None
        if failure is None:
            self._forward_stderr()
        self._output = self._stderr_text()
        self._talk.close()
        _launch.let_go(self._lifeline)
        for fd in (self._pidfd, self._stderr):
            os.close(fd)
        if failure:
            raise failure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, *message: object) -> None:
        try:
            self._talk.send(*message)
        except TimeoutError:
            self._overdue = True
            text = f"after {SEND_SECONDS} s {self!r} had not read what it was told\n{self._explain()}"
            raise TimeoutExpired(errno.ETIMEDOUT, text) from None

    def _ended(self, patience: int | None = 0) -> bool:
        """Whether it has ended, within *patience* ms; to subprocess, a child that we trace has also when it stops."""
        if self._process.returncode is None:
            poller = select.poll()
            poller.register(self._pidfd, select.POLLIN)
            if poller.poll(patience):
                self._process.poll()
        return self._process.returncode is not None

    def _wait_ended(self, timeout: float) -> None:
        # As `_wait` has seen it: whoever looked anew could see it end after the last messages were taken.
        self._wait(lambda: self._process.returncode is not None, Deadline.after(timeout), "end", timeout)

    def _wait(self, ready: Callable[[], bool], deadline: Deadline, what: str, timeout: float) -> None:
        while True:
            ended = self._ended()  # before the last messages are taken, or some could be missed
            self._talk.drain()
            if ready():
                return
            if ended:
                self._observed = True
                raise self._failure(f"ended with {self._status()} before it came to {what}")
            if deadline.expired:
                self._overdue = True
                raise TimeoutExpired(errno.ETIMEDOUT, f"after {timeout} s {self!r} did not {what}\n{self._explain()}")
            poller = select.poll()
            poller.register(self._pidfd, select.POLLIN)
            if self._talk.channel is not None:
                poller.register(self._talk.channel, select.POLLIN)
            poller.poll(min(-(-deadline.remaining_ns() // 1_000_000), 1000))

    def _status(self) -> str:
        status = self._process.returncode
        if status is not None and status < 0:
            try:
                return signal.Signals(-status).name
            except ValueError:
                return f"signal {-status}"
        return f"exit status {status}"

    def _failure(self, how: str) -> ChildFailed:
        text = f"child {self.pid} ({self._name}) {how}"
        cause = None
        if self._talk.raised is not None:
            text += f"\n{self._talk.raised[0]}"
            cause = pickle.loads(self._talk.raised[1]) if self._talk.raised[1] is not None else None
        elif self._talk.returned is not None:
            text += ", after its function had returned"
        if output := self._stderr_text():
            text += f"\nits stderr:\n{output}"
        failure = ChildFailed(text)
        failure.status = self._process.returncode
        failure.__cause__ = cause
        return failure

    def _explain(self) -> str:
        """Where a child stands that does not do what is waited for; without a signal, which would end some calls."""
        passed = ", ".join(self._talk.reached) or (
            "none" if self._talk.started else "none, the function was not yet called"
        )
        parts = [f"checkpoints reached: {passed}", _procfs.report(self.pid)]
        if self._talk.raised is not None:
            parts.append(f"its function has raised, and the process has not ended:\n{self._talk.raised[0].rstrip()}")
        if output := self._stderr_text():
            parts.append(output)
        return "\n".join(parts)

    def _stderr_text(self) -> str:
        if self._output is not None:
            return self._output
        size = os.fstat(self._stderr).st_size
        return os.pread(self._stderr, 20_000, max(0, size - 20_000)).decode(errors="replace").strip()

    def _forward_stderr(self) -> None:
        if text := self._stderr_text():
            sys.stderr.write(f"stderr of {self!r}:\n{text}\n")
