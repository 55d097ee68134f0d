"""Which listeners go with which modes and settings, and why not."""

from __future__ import annotations

import inspect
import math
import os
from typing import TYPE_CHECKING, Any

from ipckit._arguments import check_int
from ipckit.fifo import Fifo
from ipckit.server._plan import Plan, log_error
from ipckit.server._source import LARGEST_IN_FIFO, FifoSource, QueueSource, Source, is_queue

if TYPE_CHECKING:
    from ipckit.server._plan import Handler, OnError

MODES = ("processes", "threads", "selector", "asyncio")

_LOOPS = ("selector", "asyncio")
CONNECTIONS = 1000
_MESSAGE_SIZE = 1 << 20
MOST = (1 << 31) - 1


def make_plan(
    listener: object,
    handler: Handler,
    *,
    mode: str,
    max_connections: int | None,
    max_message_size: int | None,
    idle_timeout: float | None,
    workers: int | None,
    on_error: OnError | None,
) -> Plan:
    """Check everything that can be checked before the first peer comes.

    Raises:
        ValueError, TypeError: a setting is wrong, or the listener cannot be served in that way.
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    if not callable(handler):
        raise TypeError(f"handler must be a function of (message, peer), not {handler!r}")
    call = handler if inspect.isroutine(handler) else type(handler).__call__
    if mode != "asyncio" and (inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call)):
        raise TypeError(f'handler must not be a coroutine function in mode {mode!r}; mode="asyncio" is for these')
    size_limit = MOST
    if connects(listener):
        if workers is not None:
            raise ValueError("workers is for FIFOs and queues; each connection has a thread or process of its own")
    else:
        size_limit = _check_source(listener, mode, workers)
        for name, value in (("max_connections", max_connections), ("idle_timeout", idle_timeout)):
            if value is not None:
                raise ValueError(f"{name} must be None, for {type(listener).__name__} has no connections")
        if max_message_size is not None and size_limit == 0:
            raise ValueError("max_message_size must be None, for it was set when the queue was created")
    return Plan(
        handler=handler,
        on_error=on_error or log_error,
        max_connections=limit(max_connections, CONNECTIONS, "max_connections", MOST, "connections"),
        max_message_size=limit(
            max_message_size, min(_MESSAGE_SIZE, size_limit), "max_message_size", size_limit, "bytes"
        ),
        idle_ns=patience_ns(idle_timeout, "idle_timeout"),
        workers=limit(workers, len(os.sched_getaffinity(0)), "workers", MOST, "threads or processes"),
        awaits=mode == "asyncio",
    )


def connects(listener: object) -> bool:
    """Whether *listener* gives connections."""
    return hasattr(listener, "try_accept")


def source_of(listener: Any, plan: Plan) -> Source | None:
    """What to take messages from, where there are no connections."""
    if isinstance(listener, Fifo):
        return FifoSource(listener, plan.max_message_size)
    return QueueSource(listener) if is_queue(listener) else None


def _check_source(listener: object, mode: str, workers: int | None) -> int:
    """Refuse what cannot be; return the largest message, 0 where the listener itself says."""
    kind = type(listener).__name__
    if mode in _LOOPS and workers is not None:
        raise ValueError(f"workers must be None in mode {mode!r}: one loop handles one message after the other")
    if isinstance(listener, Fifo):
        if mode == "processes":
            raise ValueError(
                "a Fifo cannot be served in mode 'processes': a message takes two reads, and several processes would "
                "take parts of each other's; use mode='threads', or a message queue"
            )
        return LARGEST_IN_FIFO
    if is_queue(listener):
        if mode in _LOOPS and not getattr(listener, "pollable", False):
            raise ValueError(
                f"a {kind} of {type(listener).__module__} cannot be served in mode {mode!r}: it has no descriptor to "
                "wait on; use mode='threads' or 'processes', or a POSIX queue"
            )
        return 0
    raise TypeError(
        f"listener must be a Listener of sockets.unix or sockets.inet, a Fifo, or a MessageQueue, not {listener!r}; "
        "what has no peers but one, or datagrams, is served by a loop over its receive"
    )


def limit(value: int | None, default: int, name: str, most: int, unit: str) -> int:
    """*value*, a setting that is at least 1, or *default* where it is None.

    Raises:
        ValueError, TypeError: it is out of range.
    """
    return default if value is None else check_int(value, name, 1, most, unit)


def patience_ns(timeout: float | None, name: str) -> int | None:
    """The nanoseconds of *timeout*, in seconds; None is for ever.

    Raises:
        ValueError, TypeError: it is no time that a peer could have.
    """
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"{name} must be seconds as a float, or None for no limit, not {timeout!r}")
    if not 0 < timeout <= 1e9:
        raise ValueError(f"{name} must be above 0 and at most 1e9 seconds, not {timeout!r}")
    return math.ceil(timeout * 1e9)
