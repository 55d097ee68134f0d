"""Messages in byte streams, whichever way they are cut."""

from __future__ import annotations

import random

import pytest

from ipckit.cli.transfer.framing import framed, splitter
from ipckit.errors import MessageTooLargeError, PeerDiedError

MESSAGES = {
    "lines": [b"", b"one", b"\0two\0", bytes(70_000), b"\r"],
    "null": [b"", b"one\n", b"\xff\n\n", b"x" * 70_000],
    "length": [b"", b"\n\0", bytes(range(256)), b"\0" * 70_000, b""],
    "whole": [b"a\nb\0c"],
}


def cut(stream: bytes, most: int, seed: int) -> list[bytes]:
    chooser = random.Random(seed)
    chunks = []
    while stream:
        size = chooser.randint(1, most)
        chunks.append(stream[:size])
        stream = stream[size:]
    return chunks


@pytest.mark.parametrize("form", MESSAGES)
@pytest.mark.parametrize("most", [3, 1000, 200_000])
def test_messages_come_whole_however_the_stream_is_cut(form: str, most: int) -> None:
    stream = b"".join(framed(form, message) for message in MESSAGES[form])
    for seed in range(1 if most == 3 else 5):
        found = splitter(form)
        got = [message for chunk in cut(stream, most, seed) for message in found.feed(chunk)]
        assert got + found.end() == MESSAGES[form]


@pytest.mark.parametrize("form", ["lines", "null", "length"])
def test_wanted_never_reaches_into_the_next_message(form: str) -> None:
    stream = b"".join(framed(form, message) for message in MESSAGES[form])
    found = splitter(form)
    got = []
    while stream:
        take = found.wanted(stream[:100])
        assert take >= 1
        taken, stream = stream[:take], stream[take:]
        completed = found.feed(taken)
        assert len(completed) <= 1
        got += completed
    assert got == MESSAGES[form]


def test_the_last_separator_may_be_missing() -> None:
    found = splitter("lines")
    assert found.feed(b"one\ntwo") == [b"one"]
    assert found.end() == [b"two"]
    assert splitter("lines").end() == []


def test_a_stream_that_ends_within_a_message_or_is_something_else_is_told() -> None:
    found = splitter("length")
    assert found.feed(framed("length", b"whole") + b"\0\0\0\5par") == [b"whole"]
    with pytest.raises(PeerDiedError, match="after 3 of 5 bytes"):
        found.end()
    with pytest.raises(MessageTooLargeError, match="is it length-prefixed"):
        splitter("length").feed(b"GET / HTTP/1.0")


def test_messages_before_something_else_are_taken() -> None:
    found = splitter("length")
    assert found.feed(framed("length", b"one") + framed("length", b"two") + b"GET / HTTP/1.0") == [b"one", b"two"]
    with pytest.raises(MessageTooLargeError, match="is it length-prefixed"):
        found.feed(b"\r\n")
    with pytest.raises(MessageTooLargeError, match="is it length-prefixed"):
        found.end()
