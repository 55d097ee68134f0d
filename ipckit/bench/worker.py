"""A measuring process: a fresh interpreter that does what the orchestrator asks until it goes away."""

from __future__ import annotations

import fcntl
import gc
import os
import pickle
import signal
from contextlib import suppress
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any

from ipckit.bench import call_loops, load_loops, many_loops, measurements
from ipckit.bench.many_loops import Gate
from ipckit.bench.measurements import Peer, Side, Sync
from ipckit.errors import IPCError

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

INTERRUPTS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class Parcel:
    """Objects on their way to a worker, pickled one level deeper than `multiprocessing` does it.

    So an object that can't be opened in the worker is an answer of the worker, and no traceback on the terminal.
    """

    def __init__(self, objects: tuple[Any, ...]) -> None:
        self._objects = objects

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _Packed, (bytes(ForkingPickler.dumps(self._objects)),)

    def open(self) -> tuple[Any, ...]:
        """The objects."""
        return self._objects


class _Packed(Parcel):
    def __init__(self, packed: bytes) -> None:
        self._packed = packed

    def open(self) -> tuple[Any, ...]:
        objects: tuple[Any, ...] = pickle.loads(self._packed)
        return objects


def why(error: BaseException) -> str:
    """*error* as the reason of a row that can't run."""
    text = " ".join(str(error).split())
    if isinstance(error, (IPCError, OSError, measurements.CheckFailed)) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def serve(
    parcel: Parcel,
    *,
    half: str,
    cpu: int | None,
    orchestrator: Connection[Any, Any],
    control: Connection[Any, Any],
    link: Connection[bytes, bytes] | None,
) -> None:
    """Answer each question that comes over *control* with ("ok", value) or ("error", reason); never returns.

    Args:
        half: "first" or "second", which of the two processes this is.
        cpu: where to run.
        orchestrator: where nothing comes but the end, when the orchestrator's process dies; then so does this one.
        link: to the other measuring process; None where there are more, who meet through the orchestrator.
    """
    _die_with(orchestrator)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    gc.disable()  # a collection in one row's loop and not in another's would be noise
    try:
        objects = parcel.open()
        control.send(("ok", os.getpid()))
        side = Side(objects, Peer(control.recv()), Gate(control) if link is None else Sync(link))
        while True:
            name, *arguments = control.recv()
            control.send(("ok", _loop(f"{name}_{half}")(side, *arguments)))
    except EOFError:
        pass  # the orchestrator has let go: the ordinary end
    except BaseException as error:
        with suppress(ConnectionError):  # the orchestrator may have let go meanwhile, and asks no more
            control.send(("error", why(error)))
    # Not sys.exit: a feeder thread with messages that nobody will fetch must not keep the process.
    os._exit(0)


def _loop(name: str) -> Callable[..., Any]:
    """The half of a measurement that is called *name*."""
    for module in (measurements, call_loops, load_loops, many_loops):
        if loop := getattr(module, name, None):
            found: Callable[..., Any] = loop
            return found
    raise LookupError(f"no measurement is called {name}")


def _die_with(orchestrator: Connection[Any, Any]) -> None:
    """Have the kernel end this process, whatever it is doing, when *orchestrator* hangs up: O_ASYNC in fcntl(2)."""
    # Ctrl-C goes to the whole foreground group; only the orchestrator shall act on it, then end its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)  # they were held back while this process started up
    fd = orchestrator.fileno()
    fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
    if orchestrator.poll(0):  # it died before the calls above
        os._exit(0)
