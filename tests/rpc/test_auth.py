"""Credentials: AUTH_SYS byte by byte, its limits, and everything that is malformed."""

from __future__ import annotations

import os
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipckit.errors import AuthenticationError
from ipckit.rpc.auth import AuthNone, AuthStat, AuthSys, Credential, Flavor, OpaqueAuth, authentication_error
from tests.examples import examples

UINT = st.integers(0, (1 << 32) - 1)


def words(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def test_a_system_credential_is_the_bytes_of_the_rfc() -> None:
    made = AuthSys(0x12345678, "host1", 1000, 100, (4, 24)).opaque()
    assert made == (Flavor.SYS, words(0x12345678, 5) + b"host1\0\0\0" + words(1000, 100, 2, 4, 24))
    assert made.encode() == words(1, len(made.body)) + made.body


def test_nothing_is_said_without_a_credential() -> None:
    assert AuthNone().opaque().encode() == words(0, 0)
    assert AuthNone().verifier(b"") == OpaqueAuth()
    assert repr(AuthNone()) == "AuthNone()"


@pytest.mark.slow
@given(UINT, st.binary(max_size=255), UINT, UINT, st.lists(UINT, max_size=16))
@settings(max_examples=examples(50), deadline=None)
def test_a_system_credential_comes_back_as_it_went(
    stamp: int, name: bytes, uid: int, gid: int, gids: list[int]
) -> None:
    credential = AuthSys(stamp, name.decode("utf-8", "surrogateescape"), uid, gid, tuple(gids))
    body = credential.opaque().body
    assert len(body) <= 400
    assert AuthSys.decode(body) == credential
    for size in range(len(body)):
        with pytest.raises(AuthenticationError) as caught:
            AuthSys.decode(body[:size])
        assert caught.value.auth_stat == AuthStat.BADCRED


def test_this_process_is_described() -> None:
    credential = AuthSys.of_this_process()
    assert (credential.uid, credential.gid) == (os.geteuid(), os.getegid())
    assert credential.gids == tuple(os.getgroups()[:16])
    assert credential.machine_name == socket.gethostname()
    assert AuthSys.of_this_process("other").machine_name == "other"


MALFORMED = {
    "name too long": words(0, 256) + b"a" * 256 + words(0, 0, 0),
    "name of 4 GiB": words(0, 0xFFFFFFFF),
    "17 groups": words(0, 0, 0, 0, 17) + words(*range(17)),
    "4 Gi groups": words(0, 0, 0, 0, 0xFFFFFFFF),
    "padding": words(0, 1) + b"aX\0\0" + words(0, 0, 0),
    "more than there should be": words(0, 0, 0, 0, 0, 0),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_is_a_bad_credential(body: bytes) -> None:
    with pytest.raises(AuthenticationError) as caught:
        AuthSys.decode(body)
    assert caught.value.auth_stat == AuthStat.BADCRED


BAD_ARGUMENTS = {
    "stamp": (1 << 32, "", 0, 0, ()),
    "machine_name": (0, "ä" * 128, 0, 0, ()),
    "uid": (0, "", -1, 0, ()),
    "gid": (0, "", 0, 1 << 32, ()),
    "gids": (0, "", 0, 0, tuple(range(17))),
    "gids ": (0, "", 0, 0, (-1,)),
}


@pytest.mark.parametrize(("name", "arguments"), BAD_ARGUMENTS.items(), ids=BAD_ARGUMENTS)
def test_limits_name_the_argument(name: str, arguments: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match=name.strip()):
        AuthSys(*arguments)  # type: ignore[arg-type]


def test_bodies_have_a_limit() -> None:
    assert len(OpaqueAuth(9, b"a" * 400).encode()) == 408
    with pytest.raises(ValueError, match="400"):
        OpaqueAuth(9, b"a" * 401).encode()


@pytest.mark.parametrize(
    ("stat", "text"),
    [
        (AuthStat.TOOWEAK, "AUTH_TOOWEAK: "),
        (5, "AUTH_TOOWEAK: "),
        (AuthStat.TKT_FILE, "AUTH_TKT_FILE"),
        (99, "auth_stat 99"),
    ],
)
def test_errors_name_the_status(stat: int, text: str) -> None:
    error = authentication_error(stat)
    assert str(error).startswith(text)
    assert error.auth_stat == stat
    assert str(authentication_error(stat, "no such user")).endswith(": no such user")


def test_a_flavor_of_ones_own_needs_no_more_than_its_credential() -> None:
    class Token(Credential):
        def opaque(self) -> OpaqueAuth:
            return OpaqueAuth(0x20000001, b"token")

    token = Token()
    assert not token.constant
    assert token.verifier(b"header") == OpaqueAuth()
    token.check(OpaqueAuth())
    assert not token.refresh(AuthStat.REJECTEDCRED)
    with pytest.raises(NotImplementedError):
        Credential().opaque()
