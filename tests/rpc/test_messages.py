"""Calls and replies byte by byte, as RFC 5531 writes them; what is none is refused by the right status."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipckit import errors
from ipckit.rpc._wire import message as wire
from ipckit.rpc._wire.message import BadCall, decode_call, decode_reply, encode_call
from ipckit.rpc.auth import AuthStat, AuthSys, Flavor, OpaqueAuth
from tests.examples import examples

UINT = st.integers(0, (1 << 32) - 1)
AUTHS = st.builds(OpaqueAuth, UINT, st.binary(max_size=400))


def words(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def test_a_call_is_the_bytes_of_the_rfc() -> None:
    message = encode_call(0xFFFFFFFF, 100000, 2, 3, b"ARGS")
    assert message == words(0xFFFFFFFF, 0, 2, 100000, 2, 3, 0, 0, 0, 0) + b"ARGS"
    assert decode_call(message) == (0xFFFFFFFF, 100000, 2, 3, (0, b""), (0, b""), 40)


@pytest.mark.slow
@given(UINT, UINT, UINT, UINT, AUTHS, AUTHS, st.binary(max_size=40))
@settings(max_examples=examples(100), deadline=None)
def test_a_call_comes_back_as_it_went(
    xid: int, program: int, version: int, procedure: int, credential: OpaqueAuth, verifier: OpaqueAuth, rest: bytes
) -> None:
    message = encode_call(xid, program, version, procedure, rest, auth=credential.encode() + verifier.encode())
    header = decode_call(message)
    assert header[:-1] == (xid, program, version, procedure, credential, verifier)
    assert message[header.start :] == rest


BAD_CALLS = {
    "nothing": (b"", None),
    "less than three words": (words(7, 0) + b"\0\0\0", None),
    "a reply": (words(7, 1, 0, 0, 0, 0), None),
    "a message type of its own": (words(7, 2, 2, 1, 1, 1, 0, 0, 0, 0), None),
    "another protocol": (words(7, 0, 3), words(7, 1, 1, 0, 2, 2)),
    "no procedure": (words(7, 0, 2, 1, 1), None),
    "no credential": (words(7, 0, 2, 1, 1, 1), words(7, 1, 1, 1, 1)),
    "a credential of 401 bytes": (
        words(7, 0, 2, 1, 1, 1, 5, 401) + b"\0" * 404 + words(0, 0),
        words(7, 1, 1, 1, AuthStat.BADCRED),
    ),
    "a credential of 4 GiB": (words(7, 0, 2, 1, 1, 1, 1, 0xFFFFFFFF), words(7, 1, 1, 1, AuthStat.BADCRED)),
    "a credential that ends too early": (words(7, 0, 2, 1, 1, 1, 1, 8, 0), words(7, 1, 1, 1, AuthStat.BADCRED)),
    "a credential with bytes in its padding": (
        words(7, 0, 2, 1, 1, 1, 9, 1) + b"a\0\0b" + words(0, 0),
        words(7, 1, 1, 1, AuthStat.BADCRED),
    ),
    "no verifier": (words(7, 0, 2, 1, 1, 1, 0, 0, 0), words(7, 1, 1, 1, AuthStat.BADVERF)),
    "a verifier of 401 bytes": (
        words(7, 0, 2, 1, 1, 1, 0, 0, 0, 401) + b"\0" * 404,
        words(7, 1, 1, 1, AuthStat.BADVERF),
    ),
}


@pytest.mark.parametrize(("message", "reply"), BAD_CALLS.values(), ids=BAD_CALLS)
def test_what_is_no_call_has_its_answer_or_none(message: bytes, reply: bytes | None) -> None:
    with pytest.raises(BadCall) as caught:
        decode_call(message)
    assert caught.value.reply == reply


VERIFIER = OpaqueAuth(77, b"proof")
ACCEPTED = words(9, 1, 0)
REPLIES = {
    "success": (wire.success(9, b"RESULT"), ACCEPTED + words(0, 0, 0) + b"RESULT", None, ()),
    "success, verified": (
        wire.success(9, b"RESULT", VERIFIER),
        ACCEPTED + words(77, 5) + b"proof\0\0\0" + words(0) + b"RESULT",
        None,
        (),
    ),
    "no program": (
        wire.program_unavailable(9),
        ACCEPTED + words(0, 0, 1),
        errors.ProgramUnavailableError,
        (),
    ),
    "no version": (
        wire.program_mismatch(9, 2, 4),
        ACCEPTED + words(0, 0, 2, 2, 4),
        errors.ProgramMismatchError,
        (("low", 2), ("high", 4)),
    ),
    "no procedure": (
        wire.procedure_unavailable(9),
        ACCEPTED + words(0, 0, 3),
        errors.ProcedureUnavailableError,
        (),
    ),
    "garbage": (wire.garbage_arguments(9), ACCEPTED + words(0, 0, 4), errors.GarbageArgumentsError, ()),
    "failed": (wire.system_error(9), ACCEPTED + words(0, 0, 5), errors.RemoteFailureError, ()),
    "failed, verified": (
        wire.system_error(9, VERIFIER),
        ACCEPTED + words(77, 5) + b"proof\0\0\0" + words(5),
        errors.RemoteFailureError,
        (),
    ),
    "another protocol": (
        wire.rpc_mismatch(9, 2, 3),
        words(9, 1, 1, 0, 2, 3),
        errors.RpcMismatchError,
        (("low", 2), ("high", 3)),
    ),
    "not believed": (
        wire.auth_error(9, AuthStat.TOOWEAK),
        words(9, 1, 1, 1, 5),
        errors.AuthenticationError,
        (("auth_stat", AuthStat.TOOWEAK),),
    ),
    "not believed, by a flavor's own number": (
        wire.auth_error(9, 4711),
        words(9, 1, 1, 1, 4711),
        errors.AuthenticationError,
        (("auth_stat", 4711),),
    ),
}


@pytest.mark.parametrize(("made", "expected", "kind", "facts"), REPLIES.values(), ids=REPLIES)
def test_replies_are_the_bytes_of_the_rfc_and_are_read_as_their_error(
    made: bytes, expected: bytes, kind: type[Exception] | None, facts: tuple[tuple[str, int], ...]
) -> None:
    assert made == expected
    header = decode_reply(made, "KEY_VALUE.get")
    assert header.xid == 9
    if kind is None:
        assert (header.error, made[header.start :]) == (None, b"RESULT")
        return
    assert type(header.error) is kind
    assert str(header.error).startswith("KEY_VALUE.get: ")
    assert {name: getattr(header.error, name) for name, _ in facts} == dict(facts)
    for _, number in facts:
        assert str(int(number)) in str(header.error) or AuthStat(number).name in str(header.error)


def test_replies_carry_the_verifier() -> None:
    assert decode_reply(wire.success(1, b"", VERIFIER)).verifier == VERIFIER
    assert decode_reply(wire.system_error(1, VERIFIER)).verifier == VERIFIER


NO_REPLIES = {
    "a call": encode_call(9, 1, 1, 0),
    "a reply_stat of its own": words(9, 1, 2, 0, 0, 0),
    "an accept_stat of its own": words(9, 1, 0, 0, 0, 6),
    "a reject_stat of its own": words(9, 1, 1, 2, 0),
    "a verifier of 401 bytes": words(9, 1, 0, 0, 401) + b"\0" * 408,
}


@pytest.mark.parametrize("message", NO_REPLIES.values(), ids=NO_REPLIES)
def test_what_is_no_reply_says_so(message: bytes) -> None:
    with pytest.raises(errors.RpcProtocolError):
        decode_reply(message)


@pytest.mark.parametrize("message", [expected for _, expected, _, _ in REPLIES.values()], ids=REPLIES)
def test_every_reply_that_is_cut_short_says_so(message: bytes) -> None:
    whole = decode_reply(message)
    for size in range(min(whole.start, len(message)) if whole.error is None else len(message)):
        with pytest.raises(errors.RpcProtocolError):
            decode_reply(message[:size])


@pytest.mark.slow
@given(st.binary(max_size=80))
@settings(max_examples=examples(150), deadline=None)
def test_random_bytes_raise_nothing_else(data: bytes) -> None:
    for start in (b"", words(1, 0, 2), words(1, 1, 0), words(1, 1, 1)):
        try:
            decode_reply(start + data)
        except errors.RpcProtocolError:
            pass
        refused = None
        try:
            assert decode_call(start + data).start <= len(start + data)
        except BadCall as bad:
            refused = bad.reply
        assert refused is None or decode_reply(refused).error is not None


def test_a_system_credential_travels() -> None:
    credential = AuthSys(1, "host", 2, 3, (4, 5))
    message = encode_call(1, 2, 3, 4, auth=credential.opaque().encode() + OpaqueAuth().encode())
    header = decode_call(message)
    assert header.credential.flavor == Flavor.SYS
    assert AuthSys.decode(header.credential.body) == credential
