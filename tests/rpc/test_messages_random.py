"""Any bytes: for the record reader, the decoders of heads, and a server's answers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipckit.rpc._wire.message import encode_call
from ipckit.rpc.auth import AuthSys, OpaqueAuth
from tests.examples import examples
from tests.rpc.message_rules import FILE, LIMIT, PROGRAM, TWO, VERSION, check, check_call, check_stream
from tests.rpc.test_xdr_types import File, FileType, Kind

pytestmark = pytest.mark.slow
often = settings(max_examples=examples(75), deadline=None, database=None, suppress_health_check=list(HealthCheck))

SMALL = st.one_of(st.integers(0, 9), st.integers(0, (1 << 32) - 1))
CREDENTIALS = st.one_of(
    st.builds(OpaqueAuth, SMALL, st.binary(max_size=60)),
    st.just(OpaqueAuth()),
    st.builds(AuthSys, SMALL, st.text("ab", max_size=9), st.just(1000), st.just(100)).map(AuthSys.opaque),
)
ARGUMENTS = st.one_of(
    st.binary(max_size=80),
    st.tuples(st.text(max_size=9), st.integers(-5, 5)).map(TWO.arguments.encode),
    st.just(FILE.arguments.encode((File("sillyprog", FileType(Kind.EXEC, "lisp"), "john", b"(quit)"),))),
)
FRAGMENTS = st.one_of(
    st.binary(max_size=120).map(lambda data: struct.pack(">I", len(data)) + data),
    st.binary(max_size=120).map(lambda data: struct.pack(">I", len(data) | 1 << 31) + data),
    st.just(bytes(4)),
    st.integers(0, LIMIT + 9).map(lambda size: struct.pack(">I", size)),
    st.binary(max_size=9),
)


@often
@given(st.binary(max_size=200))
def test_anything(data: bytes) -> None:
    check(data)


@often
@given(st.lists(FRAGMENTS, max_size=30).map(b"".join), st.lists(st.integers(1, 90), min_size=1, max_size=4))
def test_streams_that_look_like_records(stream: bytes, sizes: list[int]) -> None:
    check_stream(stream, sizes)


@often
@given(
    st.sampled_from([PROGRAM, PROGRAM, PROGRAM, 7]),
    st.sampled_from([VERSION, VERSION, VERSION, 4]),
    st.integers(0, 4),
    CREDENTIALS,
    ARGUMENTS,
    st.integers(0, 1),
    st.integers(0, 200),
    st.integers(0, 255),
)
def test_calls_with_a_byte_changed(
    program: int,
    version: int,
    procedure: int,
    credential: OpaqueAuth,
    arguments: bytes,
    peer: int,
    place: int,
    change: int,
) -> None:
    auth = credential.encode() + OpaqueAuth().encode()
    message = bytearray(encode_call(9, program, version, procedure, arguments, auth=auth))
    check_call(bytes(message), peer)
    message[place % len(message)] ^= change
    check_call(bytes(message), peer)
    check_call(bytes(message[:place]), peer)
