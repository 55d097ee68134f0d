"""The settings of an RPC server, checked before the first client comes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from ipckit.rpc._wire.record import DEFAULT_MAX_MESSAGE_SIZE, MOST_FRAGMENT
from ipckit.rpc._wire.spinning import Allowance
from ipckit.server.machinery import CONNECTIONS, MOST, Plan, limit, log_error, patience_ns
from ipckit.sockets import inet, unix

if TYPE_CHECKING:
    from ipckit.rpc._server.calls import Targets

MODES = ("threads", "asyncio")

_CALLS = 64


class Limits(NamedTuple):
    """What a `Plan` does not say."""

    max_calls: int
    """Calls of one connection that may be in flight."""
    message_ns: int | None
    """Nanoseconds that a peer has for a message that has begun, either way."""
    workers: int
    spinning: Allowance


def make_limits(*, max_calls: int | None, message_timeout: float | None, workers: int | None, mode: str) -> Limits:
    """Check the settings that a `Plan` does not have.

    Raises:
        ValueError, TypeError: a setting is wrong.
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    if mode == "asyncio" and workers is not None:
        raise ValueError("workers must be None in mode 'asyncio': one loop serves all")
    return Limits(
        max_calls=limit(max_calls, _CALLS, "max_calls", MOST, "calls"),
        message_ns=patience_ns(message_timeout, "message_timeout"),
        spinning=Allowance(),
        workers=limit(workers, 4 + 4 * len(os.sched_getaffinity(0)), "workers", MOST, "threads"),
    )


def make_plan(
    *,
    mode: str,
    max_connections: int | None,
    max_message_size: int | None,
    idle_timeout: float | None,
    on_error: Any,
) -> Plan:
    """Check what this server has in common with `ipckit.server.Server`.

    Raises:
        ValueError, TypeError: a setting is wrong.
    """
    return Plan(
        handler=_unused,
        on_error=on_error or log_error,
        max_connections=limit(max_connections, CONNECTIONS, "max_connections", MOST, "connections"),
        max_message_size=limit(max_message_size, DEFAULT_MAX_MESSAGE_SIZE, "max_message_size", MOST_FRAGMENT, "bytes"),
        idle_ns=patience_ns(idle_timeout, "idle_timeout"),
        workers=1,
        awaits=mode == "asyncio",
    )


def check_handlers(targets: Targets, mode: str) -> None:
    """Refuse what *mode* cannot call.

    Raises:
        TypeError: a handler is a coroutine function, and nothing would await it.
    """
    if mode != "asyncio" and (names := targets.awaiting()):
        raise TypeError(
            f'{", ".join(names)} must not be coroutine functions in mode {mode!r}; mode="asyncio" is for these'
        )


def check_listener(listener: Any) -> Any:
    """Refuse what cannot be served.

    Raises:
        TypeError: it is neither a listener of streams nor a UDP socket.
    """
    connection = getattr(listener, "_connection", None)
    if connection in {inet.Stream, unix.Stream} or isinstance(listener, inet.Datagram):
        return listener
    raise TypeError(f"listeners must be of unix.Stream or inet.Stream, or inet.Datagram, not {listener!r}")


def _unused(_message: bytes, _peer: object) -> None:
    """A plan has a handler; here calls have many."""
