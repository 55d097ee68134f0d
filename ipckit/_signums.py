"""Signal numbers, their names, and sets of them: signal(7)."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from ipckit._arguments import check_int

if TYPE_CHECKING:
    from collections.abc import Iterable

RTMIN = int(signal.SIGRTMIN)
RTMAX = int(signal.SIGRTMAX)
LAST_STANDARD = 31
NEVER_BLOCKED = frozenset((int(signal.SIGKILL), int(signal.SIGSTOP)))

# The C library keeps those between the standard and the real-time signals to itself, and valid_signals leaves them out.
_VALID = frozenset(int(signum) for signum in signal.valid_signals())
_BITS = {signum: 1 << (signum - 1) for signum in _VALID - NEVER_BLOCKED}
_NAMES = {int(member): member.name for member in signal.Signals}
_STKFLT = 16  # Python before 3.11 has no name for it


def signal_name(signum: int) -> str:
    """What signal(7) calls it: "SIGTERM", "SIGRTMIN+3", or "signal 99" where that is none."""
    if RTMIN <= signum <= RTMAX:
        return "SIGRTMIN" if signum == RTMIN else f"SIGRTMIN+{signum - RTMIN}"
    if signum in _NAMES:
        return _NAMES[signum]
    return "SIGSTKFLT" if signum == _STKFLT else f"signal {signum}"


def check_signum(signum: object, *, null: bool = False) -> int:
    """Return *signum* if it is the number of a signal that programs may use.

    Args:
        null: whether 0 will do, the signal that is not sent.

    Raises:
        TypeError: it is no int, or a bool.
        ValueError: there is no such signal, or it is reserved.
    """
    number = check_int(signum, "signum", 0 if null else 1, RTMAX, "a signal of signal(7)")
    if number not in _VALID and number:
        raise ValueError(f"signum {number} is reserved by the C library for its threads; real-time begins at {RTMIN}")
    return number


def mask_of(signums: Iterable[int], name: str = "signums") -> int:
    """The set as the kernel takes it: bit n - 1 for signal n.

    Raises:
        TypeError: *signums* is no iterable of ints.
        ValueError: one is no signal that can be blocked and waited for.
    """
    mask = 0
    try:
        for signum in signums:
            mask |= _BITS[signum]
    except (KeyError, TypeError):
        raise _refusal(signums, name) from None
    return mask


def signums_of(mask: int) -> frozenset[int]:
    """The signals of a mask."""
    return frozenset(signum for signum in range(1, RTMAX + 1) if mask >> (signum - 1) & 1)


def names_of(signums: Iterable[int]) -> str:
    """Names for a message."""
    return ", ".join(signal_name(signum) for signum in sorted(signums))


def _refusal(signums: object, name: str) -> Exception:
    if isinstance(signums, (int, str, bytes)) or not hasattr(signums, "__iter__"):
        return TypeError(f"{name} must be a set of signal numbers, such as {{signal.SIGTERM}}, not {signums!r}")
    for signum in signums:
        try:
            if check_signum(signum) in NEVER_BLOCKED:
                return ValueError(f"{name}: {signal_name(signum)} can be neither blocked nor caught nor waited for")
        except (TypeError, ValueError) as error:
            return type(error)(f"{name}: {error}")
    return TypeError(f"{name} must be a set of signal numbers, and be the same each time: {signums!r}")
