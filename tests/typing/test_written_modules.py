"""mypy --strict over modules that `ipckit rpcgen` writes, and over what users do with them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import ipckit
from ipckit.rpc.idl import compile_source

ROOT = Path(ipckit.__file__).parent.parent
SERVICE = """
struct value { opaque data<>; };
program KEY_VALUE { version ONE { value *GET(string key) = 1; void PUT(string, value new) = 2; } = 1; } = 0x20000099;
"""
USER = """
from service import KeyValueV1, KeyValueV1AsyncClient, KeyValueV1Client, Value
from typing_extensions import assert_type

class Store(KeyValueV1):
    def get(self, key: str) -> Value:
        return Value(b"")

    def put(self, arg1: str, new: str) -> None:  # type: ignore[override]
        pass

class Waiting(KeyValueV1):
    async def get(self, key: str) -> Value | None:
        return None

    async def put(self, arg1: str, new: Value) -> None:
        pass

class Incomplete(KeyValueV1):
    def get(self, key: str) -> None:
        pass

Incomplete()  # type: ignore[abstract]
assert_type(Store().get("a").data, bytes)
with KeyValueV1Client.connect_tcp("localhost", 1, timeout=1.0, reconnect=True) as client:
    assert_type(client, KeyValueV1Client)
    assert_type(client.get("a", timeout=2), "Value | None")
    client.get(1)  # type: ignore[arg-type]
    client.put("a", Value(b""), 3)  # type: ignore[call-arg]
    client.put("a", Value("text"))  # type: ignore[arg-type]
KeyValueV1Client.connect_udp("localhost", 1, reconnect=True)  # type: ignore[call-arg]

async def ask() -> None:
    async with await KeyValueV1AsyncClient.connect_unix("/path") as client:
        assert_type(client, KeyValueV1AsyncClient)
        assert_type(await client.get("a"), "Value | None")
"""


@pytest.mark.apart
@pytest.mark.watchdog(240)
@pytest.mark.skipif(find_spec("mypy") is None, reason="mypy, of the extra dev, is not installed")
def test_written_modules_and_their_users_pass_mypy_strict(tmp_path: Path) -> None:
    hostile = (ROOT / "tests" / "rpc" / "hostile_names.x").read_text()
    (tmp_path / "hostile_names.py").write_text(compile_source(hostile, "names.x").source)
    for name in ("kv.py", "server.py", "client.py"):
        shutil.copy(ROOT / "examples" / "key_value" / name, tmp_path)
    (tmp_path / "service.py").write_text(compile_source(SERVICE, "service.x").source)
    (tmp_path / "user.py").write_text(USER)
    # mypy's usual place at the root of a source tree, so that only the first run takes long.
    cache = ROOT / ".mypy_cache" / "users" if os.access(ROOT, os.W_OK) else tmp_path
    run = subprocess.run(
        [
            sys.executable,
            *("-m", "mypy", "--strict", "--warn-unreachable", "--python-version=3.10", "--follow-imports=silent"),
            *("--config-file=", f"--cache-dir={cache}", "--no-error-summary"),
            *("hostile_names.py", "service.py", "user.py", "server.py", "client.py"),
        ],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        text=True,
    )
    assert run.stdout == ""
    assert run.returncode == 0
