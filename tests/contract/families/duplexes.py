"""Full-duplex pipes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ipckit.duplex import DuplexMessages, DuplexPipe, DuplexStream
from tests.contract.families.sockets import SUBJECTS as SOCKETS
from tests.contract.shapes import Subject


def duplex(cls: type[Any], base: str, *, messages: bool) -> Subject:
    """An end of a full-duplex pipe, which is the socket *base* and a little more."""
    socket = next(subject for subject in SOCKETS if subject.title == base)
    calls = {**socket.calls, "blocking_descriptor": lambda h: h.blocking_descriptor()}
    return replace(
        socket, title=cls.__name__, cls=cls, make=lambda: list(DuplexPipe.create(messages=messages)), calls=calls
    )


SUBJECTS: tuple[Subject, ...] = (
    duplex(DuplexStream, "Stream", messages=False),
    duplex(DuplexMessages, "SeqPacket", messages=True),
)
