"""The two sides of the servers' benchmark: a server, and clients that ask one question after the other."""

from __future__ import annotations

import os
import resource
import select
import signal
import time
from array import array
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ipckit._wait import Deadline
from ipckit.bench.worker import INTERRUPTS, why
from ipckit.errors import IPCError
from ipckit.server import Peer, Server
from ipckit.sockets.unix import Stream

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

SPARE_DESCRIPTORS = 64
CONNECT_SECONDS = 60.0
QUESTION = b"\0" * 64


def echo(message: bytes, _peer: Peer) -> bytes:
    """The handler: what it does is not what is measured."""
    return message


def answer(control: Connection[Any, Any], task: Callable[..., None], *arguments: Any) -> None:
    """In a fresh process: do *task*, and send what stops it as ("error", reason)."""
    # Ctrl-C goes to the whole foreground group, and the orchestrator ends its processes: by hanging up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)
    try:
        task(control, *arguments)
    except (EOFError, ConnectionError):
        pass  # the orchestrator has let go, or died
    except Exception as error:
        with suppress(ConnectionError):
            control.send(("error", why(error)))


def serve(control: Connection[Any, Any], mode: str, connections: int) -> None:
    """Serve until the orchestrator hangs up."""
    need_descriptors(connections)

    def tell(error: BaseException, peer: Peer | None) -> None:
        if peer is None:  # the server itself lacks something; that clients go is no news
            with suppress(ConnectionError):
                control.send(("error", why(error)))

    listener = Stream.listen(None, backlog=4096)
    address = listener.getsockname()
    with Server(listener, echo, mode=mode, max_connections=connections, on_error=tell):
        control.send(("ok", (os.getpid(), address)))
        control.recv()


def load(control: Connection[Any, Any]) -> None:
    """Do one order after the other: connect, to another server than before; ask, for some seconds."""
    clients: dict[int, Stream] = {}
    while True:
        name, *arguments = control.recv()
        if name == "connect":
            for client in clients.values():
                client.close()
            clients = connected(*arguments)
            control.send(("ok", None))
        else:
            active, seconds = arguments
            control.send(("ok", ask(dict(list(clients.items())[:active]), seconds)))


def connected(address: bytes, connections: int) -> dict[int, Stream]:
    """Connections by descriptor, each of which has been answered once."""
    need_descriptors(connections)
    deadline = Deadline.after(CONNECT_SECONDS)
    clients: dict[int, Stream] = {}
    for _ in range(connections):
        client = Stream.connect(address, timeout=deadline.remaining_ns() / 1e9)
        clients[client.fileno()] = client
    for client in clients.values():
        client.send(QUESTION)
    for client in clients.values():
        client.receive(deadline.remaining_ns() / 1e9)
    return clients


def ask(clients: dict[int, Stream], seconds: float) -> tuple[int, bytes]:
    """Ask on each connection, the next question when the reply is there.

    Returns:
        How many replies came within *seconds*; all round trips in ns, those that took longer too, as an array("Q").
    """
    in_time = 0
    trips = array("Q")
    asked: dict[int, int] = {}
    epoll = select.epoll()
    now = time.monotonic_ns
    try:
        for fd, client in clients.items():
            epoll.register(fd, select.EPOLLIN)
            asked[fd] = now()
            client.send(QUESTION)
        end = now() + int(seconds * 1e9)
        while True:
            if not asked:
                break
            for fd, _ in epoll.poll(CONNECT_SECONDS):
                client = clients[fd]
                if client.try_receive() is None:
                    continue
                arrived = now()
                trips.append(arrived - asked[fd])
                if arrived < end:
                    in_time += 1
                    asked[fd] = arrived
                    client.send(QUESTION)
                else:
                    del asked[fd]
    finally:
        epoll.close()
    return in_time, trips.tobytes()


def need_descriptors(connections: int) -> None:
    """Raise this process's soft limit of descriptors as far as that takes.

    Raises:
        IPCError: the hard limit is below.
    """
    needed = connections + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise IPCError(f"it takes {needed} descriptors, and RLIMIT_NOFILE (ulimit -Hn) is {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
