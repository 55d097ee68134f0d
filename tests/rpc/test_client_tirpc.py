"""Our clients and libtirpc's server in C: every transport, every status, credentials, large values."""

from __future__ import annotations

import asyncio
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import errors
from ipckit.rpc import AsyncClient, AuthStat, AuthSys, Client, Procedure
from tests.interop.tirpc import compiled, skip_without_tirpc
from tests.rpc.calling import PROGRAM, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).with_name("tirpc_server.c")
NULL = Procedure(0, "null")
ECHO = Procedure(1, "echo", (bytes,), bytes)
every = pytest.mark.parametrize("kind", ["unix", "tcp", "udp"])


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server, compiled; skips where there is no libtirpc."""
    skip_without_tirpc(rpcgen=False)
    return compiled(tmp_path_factory.mktemp("tirpc"), "server", source=SOURCE)


@contextmanager
def running(program: Path, kind: str, folder: Path) -> Iterator[tuple[str, int]]:
    """The server's path and port."""
    path = str(folder / "s")
    with subprocess.Popen([program, kind, path], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            yield path, int(server.stdout.readline())
        finally:
            server.kill()


def connect(kind: str, where: tuple[str, int], program: int = PROGRAM, version: int = VERSION, **how: Any) -> Client:
    path, port = where
    if kind == "unix":
        return Client.connect_unix(path, program, version, timeout=20, **how)
    if kind == "udp":
        return Client.connect_udp("127.0.0.1", port, program, version, **how)
    return Client.connect_tcp("127.0.0.1", port, program, version, timeout=20, **how)


STATUSES = {
    3: errors.RemoteFailureError,
    4: errors.AuthenticationError,
    5: errors.GarbageArgumentsError,
    6: errors.ProgramUnavailableError,
    77: errors.ProcedureUnavailableError,
}


@every
def test_values_statuses_and_time_that_runs_out(kind: str, program: Path, tmp_path: Path) -> None:
    sizes = (0, 1, 3, 1024, 8000) if kind == "udp" else (0, 1, 3, 1024, 8000, 100_000, 4 << 20)
    with running(program, kind, tmp_path) as where, connect(kind, where) as client:
        assert client.call(NULL, timeout=20) is None
        for size in sizes:
            data = os.urandom(size)
            assert client.call(ECHO, data, timeout=20) == data
        for number, expected in STATUSES.items():
            with pytest.raises(expected) as caught:
                client.call_raw(number, timeout=20)
            assert type(caught.value) is expected
            if isinstance(caught.value, errors.AuthenticationError):
                assert caught.value.auth_stat == AuthStat.TOOWEAK
        with pytest.raises(errors.TimeoutExpired):
            client.call_raw(7, timeout=0.02)
        assert client.call(ECHO, b"and on", timeout=20) == b"and on"
        for _ in range(5):
            client.send(NULL)
        assert client.call(ECHO, b"after a batch", timeout=20) == b"after a batch"


@every
def test_other_programs_and_versions(kind: str, program: Path, tmp_path: Path) -> None:
    with running(program, kind, tmp_path) as where:
        for number, version, expected in (
            (PROGRAM + 1, VERSION, errors.ProgramUnavailableError),
            (PROGRAM, VERSION + 1, errors.ProgramMismatchError),
        ):
            with connect(kind, where, number, version) as client, pytest.raises(expected) as caught:
                client.call(NULL, timeout=20)
            if isinstance(caught.value, errors.ProgramMismatchError):
                assert (caught.value.low, caught.value.high) == (VERSION, VERSION)


@every
def test_who_calls_is_understood(kind: str, program: Path, tmp_path: Path) -> None:
    credential = AuthSys(1, "a machine", 1000, 100, tuple(range(16)))
    with running(program, kind, tmp_path) as where, connect(kind, where, credential=credential) as client:
        # uid, gid, machine name, groups: an AUTH_SYS body, but for its stamp
        name = b"\0\0\0\x09a machine\0\0\0"
        body = credential.opaque().body
        assert client.call_raw(2, timeout=20) == body[4 + len(name) :][:8] + name + body[4 + len(name) + 8 :]
    (tmp_path / "s").unlink(missing_ok=True)
    with (
        running(program, kind, tmp_path) as where,
        connect(kind, where) as client,
        pytest.raises(errors.AuthenticationError, match="TOOWEAK"),
    ):
        client.call_raw(2, timeout=20)


@every
def test_asyncio(kind: str, program: Path, tmp_path: Path) -> None:
    async def main(path: str, port: int) -> None:
        if kind == "unix":
            client = await AsyncClient.connect_unix(path, PROGRAM, VERSION)
        elif kind == "udp":
            client = await AsyncClient.connect_udp("127.0.0.1", port, PROGRAM, VERSION)
        else:
            client = await AsyncClient.connect_tcp("127.0.0.1", port, PROGRAM, VERSION)
        async with client:
            data = [os.urandom(8000 if kind == "udp" else 200_000) for _ in range(8)]
            assert await asyncio.gather(*(client.call(ECHO, one, timeout=20) for one in data)) == data
            with pytest.raises(errors.ProcedureUnavailableError):
                await client.call_raw(77, timeout=20)

    with running(program, kind, tmp_path) as where:
        asyncio.run(main(*where))


def test_a_server_that_is_killed_in_the_middle_of_a_call(program: Path, tmp_path: Path) -> None:
    with running(program, "unix", tmp_path) as where:
        client = connect("unix", where)
        client.send_raw(7)
        assert client.call(ECHO, b"it is there", timeout=20) == b"it is there"
    with client, pytest.raises(errors.BrokenPeerError):
        client.call(NULL, timeout=20)
