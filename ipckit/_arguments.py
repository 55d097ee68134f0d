"""What the classes of kernel objects ask of their arguments."""

from __future__ import annotations

from ipckit._wait import Deadline


def check_int(value: object, name: str, low: int, high: int, unit: str) -> int:
    """Return *value* if it is an int from *low* to *high*.

    Raises:
        TypeError: it is no int, or a bool.
        ValueError: it is out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int ({unit}), not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low} to {high} ({unit}), not {value}")
    return value


def check_timeout(timeout: float) -> None:
    """Refuse what `Deadline.after` refuses, for a twentieth of its time: it reads no clock."""
    if type(timeout) is not float or not timeout >= 0:
        Deadline.after(timeout)


def check_acquire(blocking: bool, timeout: float) -> None:  # noqa: FBT001
    """Refuse a timeout beside ``blocking=False``, as `threading` does, and what is no timeout."""
    if not blocking:
        raise ValueError("timeout must be None where blocking is false: that call never waits")
    check_timeout(timeout)


def spin_ns(seconds: float) -> int:
    """What `set_spin` takes, in nanoseconds.

    Raises:
        TypeError: it is no number.
        ValueError: it is not from 0 to 1.
    """
    try:
        fits = 0 <= seconds <= 1
    except TypeError:
        raise TypeError(f"seconds must be a number, 0 to 1, not {seconds!r}") from None
    if not fits:
        raise ValueError(f"seconds must be 0 to 1, not {seconds!r}")
    return int(seconds * 1e9)
