"""Addresses: what people write, and how the records spell it."""

from __future__ import annotations

import os

import pytest

from ipckit.inspect import KINDS, addresses
from ipckit.inspect.addresses import parse


@pytest.mark.parametrize(
    ("written", "usual"),
    [
        ("ring:jobs", "ring:/jobs"),
        ("ring:/jobs", "ring:/jobs"),
        ("ring:[12]", "ring:[12]"),
        ("sync:a:b", "sync:/a:b"),
        ("mq:q", "mq:/q"),
        ("shm:psm_12ab", "shm:/psm_12ab"),
        ("sem:/mp-1", "sem:/mp-1"),
        ("file:ipckit.x", "file:ipckit.x"),
        ("file:/dev/shm/ipckit.x", "file:ipckit.x"),
        ("sysv-mq:0x1234", "sysv-mq:0x1234"),
        ("sysv-sem:4660", "sysv-sem:0x1234"),
        ("sysv-shm:-1", "sysv-shm:0xffffffff"),
        ("sysv-shm:0x00001234", "sysv-shm:0x1234"),
        ("sysv-mq:id=0", "sysv-mq:id=0"),
        ("sysv-mq:id=007", "sysv-mq:id=7"),
        ("fifo:/tmp/../run/f", "fifo:/run/f"),
        ("fifo:f", f"fifo:{os.getcwd()}/f"),
        ("unix:s", f"unix:{os.getcwd()}/s"),
        ("unix:@a/../b", "unix:@a/../b"),
        ("unix:[12]", "unix:[12]"),
        ("pipe:[12]", "pipe:[12]"),
        ("pipe:12", "pipe:[12]"),
        ("memfd:12", "memfd:[12]"),
        ("eventfd:12", "eventfd:[12]"),
        ("pty:3", "pty:/dev/pts/3"),
        ("pty:/dev/pts/3", "pty:/dev/pts/3"),
        ("lock:/a/../b:0-99", "lock:/b:0-99"),
        ("lock:b:c:0-EOF", f"lock:{os.getcwd()}/b:c:0-EOF"),
        ("futex:12", "futex:12"),
    ],
)
def test_the_usual_spelling(written, usual):
    assert str(parse(written)) == usual
    assert parse(usual) == parse(written), "the usual spelling is its own"


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("jobs", "an address is KIND:NAME, as in mq:/jobs, with KIND one of ring, sync"),
        ("/dev/shm/x", "an address is KIND:NAME"),
        ("queue:/x", "an address is KIND:NAME"),
        ("mq", "an address is KIND:NAME"),
        ("mq:", "must have a name behind its kind, as in mq:NAME"),
        ("sysv-mq:jobs", "must have a key such as 0x1234, or id=NUMBER"),
        ("sysv-mq:id=", "must have a number behind id="),
        ("sysv-mq:id=-1", "must have a number behind id="),
        ("sysv-mq:0x100000000", "must have a key of 32 bits"),
        ("sysv-shm:0", "key 0 is IPC_PRIVATE"),
    ],
)
def test_what_is_no_address(written, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse(written)


def test_every_kind_is_in_the_table_of_the_docstring():
    assert [
        kind for kind in KINDS if not any(f"{form}" in addresses.__doc__ for form in (f"{kind}:", f" {kind}"))
    ] == []
