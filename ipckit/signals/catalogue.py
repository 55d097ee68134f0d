"""The signals of this machine, and what each does to a process that says nothing about it: signal(7)."""

from __future__ import annotations

import signal
from typing import Final, Literal, NamedTuple

from ipckit._signums import RTMAX, RTMIN, check_signum, signal_name

__all__ = ["Action", "SignalDescription", "name", "table"]

Action = Literal["Term", "Core", "Ign", "Stop", "Cont"]
"""Ends the process; ends it and dumps core; does nothing; stops it; continues it where it is stopped."""

_CORE: Final = frozenset(
    ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGQUIT", "SIGSEGV", "SIGSYS", "SIGTRAP", "SIGXCPU", "SIGXFSZ")
)
_ACTIONS: Final[dict[str, Action]] = {
    **dict.fromkeys(_CORE, "Core"),
    **dict.fromkeys(("SIGCHLD", "SIGURG", "SIGWINCH"), "Ign"),
    **dict.fromkeys(("SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU"), "Stop"),
    "SIGCONT": "Cont",
}


class SignalDescription(NamedTuple):
    """One signal.

    Attributes:
        number: on this machine; architectures differ above 6.
        name: as signal(7) spells it; real-time signals count from SIGRTMIN.
        action: the default, where the process has no handler and does not ignore it.
        description: as strsignal(3) has it.
        queued: whether each one is kept until it is taken; of the others only one is, however many are sent.
    """

    number: int
    name: str
    action: Action
    description: str
    queued: bool


def name(signum: int) -> str:
    """What signal(7) calls it.

    >>> import signal
    >>> name(signal.SIGTERM), name(signal.SIGRTMIN + 3)
    ('SIGTERM', 'SIGRTMIN+3')

    Raises:
        ValueError: there is no such signal, or the C library keeps it to itself.
    """
    return signal_name(check_signum(signum))


def table() -> tuple[SignalDescription, ...]:
    """All signals that programs may use, by number.

    >>> next(row for row in table() if row.name == "SIGCHLD").action
    'Ign'
    """
    return tuple(_described(int(signum)) for signum in sorted(signal.valid_signals()))


def _described(signum: int) -> SignalDescription:
    called = signal_name(signum)
    queued = RTMIN <= signum <= RTMAX
    return SignalDescription(signum, called, _ACTIONS.get(called, "Term"), signal.strsignal(signum) or called, queued)
