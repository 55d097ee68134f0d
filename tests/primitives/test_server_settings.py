"""What `Server` refuses, and what it does when nobody says otherwise."""

from __future__ import annotations

import functools
import logging
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import posix, sysv
from ipckit.errors import EndOfStreamError
from ipckit.fifo import Fifo
from ipckit.pipe import PIPE_BUF
from ipckit.server import MODES, Peer, Server
from ipckit.sockets.unix import Datagram, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 20


def handler(message: bytes, peer: Peer) -> bytes:
    return message


async def coroutine(message: bytes, peer: Peer) -> bytes:
    return message


class Called:
    async def __call__(self, message: bytes, _peer: Peer) -> bytes:
        return message


@pytest.fixture(scope="module")
def listeners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("listeners")
    made = {
        "stream": Stream.listen(None),
        "fifo": Fifo.create(folder / "f", unlink_on_close=True),
        "posix": posix.MessageQueue.create(unlink_on_close=True),
        "sysv": sysv.MessageQueue.create(remove_on_close=True),
        "datagram": Datagram.bind(None),
    }
    yield made
    for listener in made.values():
        listener.close()


WRONG = [
    ("stream", {"mode": "fibres"}, ValueError, "mode must be one of processes, threads, selector, asyncio"),
    ("stream", {"max_connections": 0}, ValueError, "max_connections must be 1 to"),
    ("stream", {"max_connections": True}, TypeError, "max_connections must be an int"),
    ("stream", {"max_message_size": 1 << 31}, ValueError, "max_message_size must be 1 to"),
    ("stream", {"idle_timeout": 0}, ValueError, "idle_timeout must be above 0"),
    ("stream", {"idle_timeout": float("nan")}, ValueError, "idle_timeout must be above 0"),
    ("stream", {"idle_timeout": "1"}, TypeError, "idle_timeout must be seconds"),
    ("stream", {"workers": 2}, ValueError, "workers is for FIFOs and queues"),
    ("stream", {"handler": None}, TypeError, "handler must be a function"),
    ("stream", {"handler": coroutine}, TypeError, 'mode="asyncio" is for these'),
    ("stream", {"handler": Called()}, TypeError, 'mode="asyncio" is for these'),
    ("fifo", {"mode": "processes"}, ValueError, "take parts of each other's; use mode='threads'"),
    ("fifo", {"mode": "selector", "workers": 2}, ValueError, "one loop handles one message"),
    ("fifo", {"max_message_size": PIPE_BUF}, ValueError, f"max_message_size must be 1 to {PIPE_BUF - 4}"),
    ("fifo", {"max_connections": 2}, ValueError, "for Fifo has no connections"),
    ("posix", {"max_message_size": 100}, ValueError, "it was set when the queue was created"),
    ("posix", {"idle_timeout": 1}, ValueError, "has no connections"),
    ("posix", {"workers": 0}, ValueError, "workers must be 1 to"),
    ("sysv", {"mode": "selector"}, ValueError, "has no descriptor to wait on; use mode='threads' or 'processes'"),
    ("sysv", {"mode": "asyncio"}, ValueError, "has no descriptor to wait on"),
    ("datagram", {}, TypeError, "listener must be a Listener"),
]


@pytest.mark.parametrize(("listener", "how", "error", "text"), WRONG)
def test_refused(listeners: dict[str, Any], listener: str, how: dict[str, Any], error: type, text: str) -> None:
    how = {"handler": handler, **how}
    with pytest.raises(error) as caught:
        Server(listeners[listener], how.pop("handler"), **how)
    assert text in str(caught.value)
    assert not listeners[listener].closed


def test_every_other_pair_of_listener_and_mode_is_accepted(listeners: dict[str, Any]) -> None:
    refused = {("fifo", "processes"), ("sysv", "selector"), ("sysv", "asyncio")}
    assert refused == {(name, how["mode"]) for name, how, _, _ in WRONG if list(how) == ["mode"] and name != "stream"}
    accepted = 0
    for name in ("stream", "fifo", "posix", "sysv"):
        for mode in MODES:
            if (name, mode) not in refused:
                assert Server(listeners[name], handler, mode=mode).mode == mode
                accepted += 1
    assert accepted == 13
    Server(listeners["stream"], Called(), mode="asyncio")


def failing(message: bytes, peer: Peer) -> Any:
    if message == b"await":
        return functools.partial(coroutine, message, peer)()
    raise LookupError("no such thing")


def broken(error: BaseException, peer: Peer | None) -> None:
    raise ArithmeticError


def test_failures_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Server(Stream.listen(tmp_path / "s"), failing, mode="threads", max_message_size=10) as server:
        assert "threads of <Listener" in repr(server)
        for message in (b"x", b"await", b"x" * 11):
            with Stream.connect(tmp_path / "s") as client:
                client.send(message)
                with pytest.raises((EndOfStreamError, ConnectionError)):
                    client.receive(timeout=SECONDS)
    levels = [(record.name, record.levelno, bool(record.exc_info)) for record in caplog.records]
    name = "ipckit.server"
    assert levels == [(name, logging.ERROR, True), (name, logging.ERROR, True), (name, logging.WARNING, False)]
    assert "credentials=Credentials(pid=" in caplog.messages[0]
    assert 'mode="asyncio" is for these' in caplog.text


def test_an_on_error_that_fails_is_logged_and_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Server(Stream.listen(tmp_path / "s"), failing, mode="selector", on_error=broken):
        for _ in range(2):
            with Stream.connect(tmp_path / "s") as client:
                client.send(b"x")
                with pytest.raises(EndOfStreamError):
                    client.receive(timeout=SECONDS)
    assert caplog.messages == ["on_error failed"] * 2


def test_signals_are_as_before_afterwards() -> None:
    with Stream.listen(None) as listener:
        server = Server(listener, handler)
        before = signal.getsignal(signal.SIGTERM)
        with server.stop_on_signals(signal.SIGTERM):
            assert signal.getsignal(signal.SIGTERM) != before
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            server.serve_forever()
        assert signal.getsignal(signal.SIGTERM) == before


def test_signals_are_for_the_main_thread() -> None:
    caught: list[BaseException] = []

    def try_it() -> None:
        with Stream.listen(None) as listener:
            try:
                with Server(listener, handler).stop_on_signals():
                    pass
            except ValueError as error:
                caught.append(error)

    thread = threading.Thread(target=try_it)
    thread.start()
    thread.join()
    assert len(caught) == 1
