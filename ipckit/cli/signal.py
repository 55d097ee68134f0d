"""`ipckit signal`: send a signal, with a value where wanted, to the process that is meant and to no other."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from ipckit.cli.failure import Failure
from ipckit.cli.transfer.outcomes import outcomes
from ipckit.errors import SyscallError

if TYPE_CHECKING:
    from ipckit.process import PidFd

DESCRIPTION = """\
Send a signal to a process, by its number or its name.

  ipckit signal 4711 TERM
  ipckit signal worker RTMIN+1 --value 42
  ipckit signal --list"""

EPILOG = """\
A signal is a name of signal(7), with or without SIG, or a number; 0 only asks whether the process is there. A NAME is
what `ps -o comm` shows. More than one process of that name gets it only with --all.

A process found by its name is held by a descriptor (pidfd) and looked at again before the signal is sent, so that it
goes to no other that has got the number meanwhile.

statuses: 0 sent, 1 it failed or there is no such process, 2 wrong usage"""

_COMM = 15  # bytes: TASK_COMM_LEN of proc_pid_comm(5), less the NUL


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "signal",
        help="send a signal, with a value where wanted",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("process", metavar="PID|NAME", nargs="?", help="whom")
    parser.add_argument("signal", metavar="SIGNAL", nargs="?", help="which: TERM, SIGRTMIN+3, 15, ...")
    parser.add_argument("--value", metavar="N", type=int, help="an integer to go with it: sigqueue(3)")
    parser.add_argument("--all", action="store_true", help="all processes of that NAME")
    parser.add_argument("--list", action="store_true", help="list the signals")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Send; return the exit status."""
    if arguments.list:
        return _list()
    if arguments.process is None or arguments.signal is None:
        raise Failure("signal: it takes a process and a signal, or --list", status=2)
    with outcomes():
        signum = _number(arguments.signal)
        failures = []
        for process in _processes(arguments.process, every=arguments.all):
            with process:
                try:
                    if arguments.value is None:
                        process.send_signal(signum)
                    else:
                        process.sigqueue(signum, arguments.value)
                except SyscallError as error:  # no reason to leave out the others
                    failures.append(error)
        if failures:
            raise failures[0]
    return 0


def _list() -> int:
    from ipckit.signals import table

    for row in table():
        print(f"{row.number:>2}  {row.name:<12}  {row.action:<4}  {row.description}")
    return 0


def _number(text: str) -> int:
    """The number of a signal that is given as signal(7) names it.

    Raises:
        ValueError: there is none.
    """
    from ipckit._signums import RTMAX, RTMIN, check_signum
    from ipckit.signals import table

    if text.isdecimal():
        return check_signum(int(text), null=True)
    word = f"SIG{text.upper().removeprefix('SIG')}"
    for start, base in (("SIGRTMIN", RTMIN), ("SIGRTMAX", RTMAX)):
        distance = word.removeprefix(start)
        if distance != word:
            return _real_time(text, base, distance, RTMIN, RTMAX)
    for row in table():
        if row.name == word:
            return row.number
    raise ValueError(f"there is no signal {text!r}; `ipckit signal --list` lists them")


def _real_time(text: str, base: int, distance: str, lowest: int, highest: int) -> int:
    try:
        found = base + (int(distance) if distance else 0)
    except ValueError:
        found = 0
    if not lowest <= found <= highest:
        raise ValueError(f"real-time signals are SIGRTMIN to SIGRTMIN+{highest - lowest}, not {text!r}")
    return found


def _processes(text: str, *, every: bool) -> list[PidFd]:
    from ipckit.process import PidFd

    if text.isdecimal():
        return [PidFd.open(int(text))]
    found = _named(text)
    if not found:
        raise Failure(f"there is no process of the name {text!r}")
    if len(found) > 1 and not every:
        numbers = ", ".join(str(process.pid) for process in found)
        for process in found:
            process.close()
        raise Failure(f"{len(found)} processes have the name {text!r}: {numbers}; name one by its number, or use --all")
    return found


def _named(name: str) -> list[PidFd]:
    """The processes of that name, but this one; opened first, and looked at then."""
    from ipckit.errors import NoProcessError
    from ipckit.process import PidFd

    wanted = os.fsencode(name)[:_COMM]
    found: list[PidFd] = []
    for entry in os.listdir("/proc"):
        if not entry.isdecimal() or int(entry) == os.getpid() or _comm(entry) != wanted:
            continue
        try:
            process = PidFd.open(int(entry))
        except NoProcessError:
            continue
        if _comm(entry) == wanted and process.running:
            found.append(process)
        else:
            process.close()
    return found


def _comm(pid: str) -> bytes:
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:
            return file.read().removesuffix(b"\n")
    except OSError:
        return b""
