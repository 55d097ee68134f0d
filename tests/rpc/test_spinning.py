"""Spinning between calls: when it is tried, what it keeps nobody from, and what it leaves alone."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from ipckit import errors
from ipckit.rpc import Client
from ipckit.rpc._wire.spinning import Allowance, Spin
from tests.rpc.serving import (
    ADD,
    ECHO,
    KINDS,
    LET_GO,
    PROGRAM,
    SECONDS,
    WAIT,
    Running,
    call,
    running,
    success,
    words,
)

LONG = 1.0  # seconds; cut to what a signal may wait


def client_of(it: Running, kind: str) -> Client:
    if kind == "unix":
        return Client.connect_unix(it.unix, PROGRAM, 3)
    connect = Client.connect_tcp if kind == "tcp" else Client.connect_udp
    return connect(*it.tcp if kind == "tcp" else it.udp, PROGRAM, 3)


def tries(spin: Spin, waits: int) -> list[int]:
    return [number for number in range(waits) if spin.pays()]


def test_in_vain_it_is_tried_ever_less_often_and_again_at_once_when_it_pays() -> None:
    reader, writer = os.pipe()
    try:
        spin = Spin(Allowance())
        spin.allowance.set(1e-6)
        for skipped in (1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 1023):
            assert spin.pays()
            assert not spin.until_readable(reader)
            assert tries(spin, skipped) == []
        spin.allowance.set(LONG)
        assert spin.pays()
        paid = False
        while not paid:  # whichever thread is held up, it may be later than the end of a spin
            late = threading.Timer(0.01, os.write, (writer, b"x"))
            late.start()
            while not spin.until_readable(reader):
                pass
            late.join()
            paid = tries(spin, 3) == [0, 1, 2]
            assert spin.until_readable(reader), "it is readable already"
            os.read(reader, 1)
    finally:
        os.close(reader)
        os.close(writer)


def test_one_thread_at_a_time_spins_and_none_that_was_forbidden() -> None:
    allowance = Allowance()
    one, other = Spin(allowance), Spin(allowance)
    allowance.taken = True
    assert not one.pays()
    allowance.taken = False
    assert one.pays()
    assert other.pays()
    allowance.set(0)
    assert not one.pays()
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="seconds must be 0 to 1"):
            allowance.set(wrong)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seconds", [0, LONG])
def test_calls_are_answered_whether_or_not_anybody_spins(kind: str, seconds: float) -> None:
    with running("threads") as it:
        it.server.set_spin(seconds)
        with client_of(it, kind) as client:
            client.set_spin(seconds)
            for number in range(200):
                assert client.call(ADD, number, 1, timeout=SECONDS) == number + 1
            assert client.call(ECHO, b"x" * 5000, timeout=SECONDS) == b"x" * 5000


@pytest.mark.parametrize("kind", KINDS)
def test_a_slow_call_keeps_nobody_waiting_after_quick_ones_of_the_same_client(kind: str) -> None:
    with running("threads") as it:
        it.server.set_spin(LONG)
        with client_of(it, kind) as client:
            for _ in range(50):
                client.call(ADD, 1, 1, timeout=SECONDS)
            results: list[Any] = []
            slow = threading.Thread(target=lambda: results.append(client.call(WAIT, timeout=SECONDS)))
            slow.start()
            assert it.service.waiting.wait(SECONDS)
            assert client.call(ADD, 2, 2, timeout=SECONDS) == 4
            client.call(LET_GO, timeout=SECONDS)
            slow.join(SECONDS)
            assert results == [7]


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_spins_stops_and_ends_what_is_idle(kind: str) -> None:
    with running("threads") as it, client_of(it, kind) as client:
        it.server.set_spin(LONG)
        client.call(ADD, 1, 1, timeout=SECONDS)
        it.server.stop()
        if kind != "udp":
            with pytest.raises(errors.BrokenPeerError):
                while True:
                    client.call(ADD, 1, 1, timeout=SECONDS)


@pytest.mark.parametrize("seconds", [1e-6, LONG])
def test_copies_of_a_call_that_is_answered_leave_the_socket_served(seconds: float) -> None:
    with running("threads") as it, it.connect("udp") as sock:
        it.server.set_spin(seconds)
        for number in range(5):
            question = call(number, ADD.number, words(number, 1))
            for _ in range(10):
                sock.send(question)
                assert sock.recv(65536) == success(number, words(number + 1))


def test_a_closed_client_has_nothing_to_set() -> None:
    with running("threads") as it:
        client = client_of(it, "tcp")
        client.close()
        with pytest.raises(errors.ClosedError):
            client.set_spin(0)
