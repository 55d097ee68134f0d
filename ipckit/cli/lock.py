"""`ipckit lock`: run a command while a lock is held, as flock(1) does."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from contextlib import suppress

from ipckit.cli.failure import Failure
from ipckit.cli.transfer.locks import Holding, lock_of, say_owner_died
from ipckit.cli.transfer.outcomes import TIME_IS_UP, outcomes
from ipckit.cli.transfer.pending import Pending
from ipckit.cli.transfer.quantities import seconds

DESCRIPTION = """\
Run a command while a lock is held, and give it back whatever happens.

  ipckit lock /run/job.lock -- make install
  ipckit lock --no-wait lock:/run/job.lock -- ./nightly
  ipckit lock --timeout 5 sync:/tree -- ./update-tree"""

EPILOG = """\
locks:
  PATH, lock:PATH    a file, which is made if there is none: by flock(2), so that flock(1) and this keep each other out
  sync:/NAME         a Mutex, RWLock or Semaphore of ipckit
  sem:/NAME          a POSIX semaphore: one token of it

statuses: the command's own; 128 + n where signal n ended it; 127 there is no such command, 126 it can't be run;
3 the time is up, or with --no-wait the lock is taken (-E changes that); 1 it failed, 2 wrong usage"""

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_SI_KERNEL = 0x80  # asm-generic/siginfo.h: who sends it is no process, but the terminal


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "lock",
        help="run a command while a lock is held",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="ipckit lock [options] OBJECT [--] COMMAND...",
    )
    parser.add_argument("object", metavar="OBJECT", help="what to lock; see below")
    parser.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER, help="what to run, with its arguments")
    parser.add_argument("-s", "--shared", action="store_true", help="let others have it shared at the same time")
    wait = parser.add_mutually_exclusive_group()
    wait.add_argument("--timeout", metavar="S", type=seconds, help="wait at most so many seconds")
    wait.add_argument("-n", "--no-wait", action="store_true", help="do not wait if it is taken")
    parser.add_argument(
        "-E", "--busy-status", metavar="N", type=_status, default=TIME_IS_UP, help="exit status if it stays taken: 3"
    )
    parser.add_argument(
        "--how", choices=("flock", "ofd", "record"), default="flock", help="which lock of a file: flock(2)"
    )
    parser.add_argument(
        "--inherit",
        action="store_true",
        help="let the command have the descriptor, as flock(1) does: a file stays locked until all of its processes "
        "have closed it, daemons too (not with --how record)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Lock, run, unlock; return the command's exit status."""
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        raise Failure("lock: what to run must stand behind the object: ipckit lock OBJECT -- COMMAND...", status=2)
    with outcomes():
        holding = lock_of(arguments.object, shared=arguments.shared, how=arguments.how)
        try:
            if arguments.inherit:
                _let_inherit(holding, arguments)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, the kernel would keep the command's status
            with Pending({*_FORWARDED, signal.SIGCHLD}) as signals:  # from here on the command gets them
                if signals.acquire(holding.acquire, 0 if arguments.no_wait else arguments.timeout):
                    return _held(command, holding, signals, arguments)
        finally:
            holding.close()
    print(f"ipckit: {arguments.object} is locked by another", file=sys.stderr)
    return int(arguments.busy_status)


def _held(command: list[str], holding: Holding, signals: Pending, arguments: argparse.Namespace) -> int:
    """Run the command, and give the lock back."""
    try:
        environment = dict(os.environ)
        if holding.owner_died:
            say_owner_died(arguments.object)
            environment["IPCKIT_OWNER_DIED"] = "1"
        return _run(command, environment, signals)
    finally:
        if not arguments.inherit:
            holding.release()


def _run(command: list[str], environment: dict[str, str], signals: Pending) -> int:
    """Run the command, pass signals on to it, and wait for it."""
    ignored = (signal.SIGPIPE, signal.SIGXFSZ)  # by Python, not by whoever started this
    try:
        pid = os.posix_spawnp(command[0], command, environment, setsigmask=signals.before, setsigdef=ignored)
    except OSError as error:
        print(f"ipckit: {command[0]}: {error.strerror}", file=sys.stderr)
        return 127 if isinstance(error, FileNotFoundError) else 126
    while True:
        found = signal.sigwaitinfo(signals.signums)
        if found.si_signo != signal.SIGCHLD:
            # What the terminal sent, all of its foreground got: the command had it already.
            if found.si_code != _SI_KERNEL:
                with suppress(PermissionError):  # it has become another user's, as sudo(8) does, and goes on
                    os.kill(pid, found.si_signo)  # not yet waited for: the number is still its own
            continue
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _let_inherit(holding: Holding, arguments: argparse.Namespace) -> None:
    if holding.descriptor < 0 or arguments.how == "record":
        raise ValueError("--inherit is for files, locked by flock or ofd: other locks are this process's own")
    os.set_inheritable(holding.descriptor, True)


def _status(text: str) -> int:
    if not text.isdecimal() or int(text) > 255:
        raise argparse.ArgumentTypeError(f"must be an exit status, 0 to 255, not {text!r}")
    return int(text)
