"""The two usual modes of a terminal, as changes to its attributes: termios(3)."""

from __future__ import annotations

import termios
from typing import Any

Attributes = list[Any]
"""What termios.tcgetattr returns: iflag, oflag, cflag, lflag, ispeed, ospeed and the list of control characters."""

IFLAG, OFLAG, CFLAG, LFLAG, _, _, CC = range(7)

_RAW_OFF_IN = (
    termios.IGNBRK
    | termios.BRKINT
    | termios.PARMRK
    | termios.ISTRIP
    | termios.INLCR
    | termios.IGNCR
    | termios.ICRNL
    | termios.IXON
)
_RAW_OFF_LOCAL = termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN
_COOKED_LOCAL = termios.ICANON | termios.ISIG | termios.IEXTEN | termios.ECHOE | termios.ECHOK
_COOKED_LOCAL |= termios.ECHOCTL | termios.ECHOKE


def make_raw(attributes: Attributes) -> None:
    """What cfmakeraw(3) does: every byte passes as it is, at once, and none means anything."""
    attributes[IFLAG] &= ~_RAW_OFF_IN
    attributes[OFLAG] &= ~termios.OPOST
    attributes[CFLAG] = attributes[CFLAG] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    attributes[LFLAG] &= ~_RAW_OFF_LOCAL
    attributes[CC][termios.VMIN] = 1
    attributes[CC][termios.VTIME] = 0


def make_cooked(attributes: Attributes, *, echo: bool) -> None:
    """How the kernel makes a terminal: whole lines, erase and kill, signals from the keyboard, CR and NL translated."""
    attributes[IFLAG] = attributes[IFLAG] & ~(_RAW_OFF_IN) | termios.ICRNL | termios.IXON
    attributes[OFLAG] |= termios.OPOST | termios.ONLCR
    attributes[CFLAG] = attributes[CFLAG] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    attributes[LFLAG] |= _COOKED_LOCAL
    make_echo(attributes, echo=echo)
    # On some processors these share their places with VMIN and VTIME.
    attributes[CC][termios.VEOF] = b"\x04"
    attributes[CC][termios.VEOL] = b"\0"


def make_echo(attributes: Attributes, *, echo: bool) -> None:
    """Whether the terminal writes back what is typed."""
    if echo:
        attributes[LFLAG] |= termios.ECHO
    else:
        attributes[LFLAG] &= ~(termios.ECHO | termios.ECHONL)
