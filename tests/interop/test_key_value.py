"""The service of examples/key_value: its server in Python for a client in C, and the other way round."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import ipckit
from ipckit.errors import XdrError
from ipckit.rpc.idl import compile_source
from tests.interop.tirpc import compiled, generate, skip_without_tirpc
from tests.rpc.idl_tools import imported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.interop.conftest import Program

ROOT = Path(ipckit.__file__).parent.parent
EXAMPLE = ROOT / "examples" / "key_value"
TUTORIAL = ROOT / "docs" / "howto" / "key-value-service.md"


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def kv() -> Iterator[Any]:
    with imported((EXAMPLE / "kv.py").read_text()) as module:
        yield module


@pytest.fixture(scope="module")
def c_programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The example's client, and our server in C, both with what rpcgen writes."""
    skip_without_tirpc()
    folder = tmp_path_factory.mktemp("key_value")
    for path in (EXAMPLE / "kv.x", EXAMPLE / "client.c", Path(__file__).parent / "kv_server.c"):
        shutil.copy(path, folder)
    generate(folder, "kv", h="kv.h", c="kv_xdr.c", l="kv_clnt.c", m="kv_svc.c")
    return {
        "client": compiled(folder, "client", "kv_clnt", "kv_xdr"),
        "server": compiled(folder, "kv_server", "kv_svc", "kv_xdr"),
    }


@pytest.fixture
def python_server(start: Callable[..., Program]) -> Program:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return start(sys.executable, EXAMPLE / "server.py", env=env)


def port_of(server: Program) -> int:
    match = re.search(rb"(\d+)$", server.line())
    assert match, server.process.stderr.read()
    return int(match[1])


def test_the_module_is_what_its_file_becomes() -> None:
    text = (EXAMPLE / "kv.x").read_text()
    assert compile_source(text, "kv.x").source == (EXAMPLE / "kv.py").read_text()


def test_the_tutorial_shows_the_files_and_the_server_has_forty_lines() -> None:
    page = TUTORIAL.read_text()
    for name in ("kv.x", "server.py", "client.c", "client.py"):
        assert f"\n{(EXAMPLE / name).read_text()}```\n" in page, name
    assert len((EXAMPLE / "server.py").read_text().splitlines()) <= 40


def test_client_in_c_calls_the_server_in_python(
    python_server: Program, c_programs: dict[str, Path], start: Callable[..., Program]
) -> None:
    port = str(port_of(python_server))
    words = ["put", "tea", "green", "put", "tea", "black", "put", "toast", "", "get", "tea", "get", "toast"]
    words += ["get", "milk", "list", "t", "list", "x", "remove", "tea", "remove", "tea", "list", ""]
    assert start(c_programs["client"], port, *words).finish().decode().splitlines() == [
        "tea is revision 1",
        "tea is revision 2",
        "toast is revision 1",
        "tea = black",
        "toast = ",
        "milk is not there",
        "tea",
        "toast",
        "tea is removed",
        "tea was not there",
        "toast",
    ]
    large = "v" * 100_000
    assert start(c_programs["client"], port, "put", "n" * 255, large, "get", "n" * 255).finish().decode() == (
        f"{'n' * 255} is revision 1\n{'n' * 255} = {large}\n"
    )
    python_server.process.send_signal(signal.SIGTERM)
    assert python_server.finish() == b""


def test_client_in_python_calls_the_server_in_python(python_server: Program, kv: Any) -> None:
    with kv.KeyValueV1Client.connect_tcp("127.0.0.1", port_of(python_server), timeout=20) as client:
        use(client, kv)
        assert client.kv_list("", timeout=20) == []


def test_the_client_of_the_example(python_server: Program, start: Callable[..., Program]) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    client = start(sys.executable, EXAMPLE / "client.py", str(port_of(python_server)), env=env)
    assert client.finish() == b"revision 1\nbeans is revision 1\n['coffee']\n"


def test_client_in_python_calls_the_server_in_c(
    c_programs: dict[str, Path], start: Callable[..., Program], kv: Any
) -> None:
    server = start(c_programs["server"])
    port = port_of(server)
    with kv.KeyValueV1Client.connect_tcp("127.0.0.1", port, timeout=20) as client:
        use(client, kv)
        with pytest.raises(XdrError, match="255"):
            client.kv_put("n" * 256, b"", timeout=20)

    async def ask() -> None:
        async with await kv.KeyValueV1AsyncClient.connect_tcp("127.0.0.1", port, timeout=20) as client:
            assert await client.kv_put("é", bytes(4 << 20), timeout=20) == 1
            found = await client.kv_get("é", timeout=20)
            assert found.value == kv.KvEntry(bytes(4 << 20), 1)
            assert await asyncio.gather(*(client.kv_list("", timeout=20) for _ in range(20))) == [["é"]] * 20

    asyncio.run(ask())


def use(client: Any, kv: Any) -> None:
    assert client.kv_get("a", timeout=20) == kv.KvFound(False, None)
    assert client.kv_put("a", b"\0\xff", timeout=20) == 1
    assert client.kv_put("a", b"", timeout=20) == 2
    assert client.kv_put("a", b"\0\xff", timeout=20) == 3
    assert client.kv_get("a", timeout=20) == kv.KvFound(True, kv.KvEntry(b"\0\xff", 3))
    assert client.kv_list("", timeout=20) == ["a"]
    assert client.kv_list("b", timeout=20) == []
    assert client.kv_remove("a", timeout=20) is True
    assert client.kv_remove("a", timeout=20) is False


def test_a_client_is_for_its_program_and_version(python_server: Program, kv: Any) -> None:
    from ipckit.rpc import Client

    port = port_of(python_server)
    message = "KeyValueV1Client calls program 536871065 version 1, and the client is"
    with (
        Client.connect_tcp("127.0.0.1", port, kv.KeyValueV1.PROGRAM, 2, timeout=20) as other,
        pytest.raises(ValueError, match=message),
    ):
        kv.KeyValueV1Client(other)
    with Client.connect_tcp("127.0.0.1", port, kv.KeyValueV1.PROGRAM, 1, timeout=20) as own:
        client = kv.KeyValueV1Client(own)
        assert client.client is own
        assert repr(client).startswith("<KeyValueV1Client <Client ")
        assert client.kv_list("", timeout=20) == []
