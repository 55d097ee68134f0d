"""Our RPC server, whose code `ipckit rpcgen` wrote, and C clients whose code rpcgen wrote from the same kv.x."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.cli import main
from ipckit.rpc import Server
from tests.interop.tirpc import compiled, generate, skip_without_tirpc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.interop.conftest import Program

    Start = Callable[..., Program]

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def kv_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """kv_client.c with rpcgen's stubs, compiled."""
    skip_without_tirpc()
    folder = tmp_path_factory.mktemp("kv")
    for name in ("kv.x", "kv_client.c"):
        shutil.copy(HERE / name, folder)
    generate(folder, "kv", h="kv.h", c="kv_xdr.c", l="kv_clnt.c")
    return compiled(folder, "kv_client", "kv_xdr", "kv_clnt")


@pytest.fixture(scope="session")
def kv(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """What our rpcgen makes of kv.x, imported."""
    path = tmp_path_factory.mktemp("kv") / "kv_service.py"
    assert main(["rpcgen", str(HERE / "kv.x"), "-o", str(path)]) == 0
    spec = importlib.util.spec_from_file_location("kv_service", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kv_service"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["kv_service"]


def store_of(kv: Any) -> Any:
    class Store(kv.KeyValueV1):  # type: ignore[misc]
        def __init__(self) -> None:
            self.lock = threading.Lock()
            self.data: dict[str, bytes] = {}

        def put(self, key: str, data: bytes) -> None:
            with self.lock:
                self.data[key] = data

        def get(self, key: str) -> Any:
            data = self.data.get(key)
            return kv.Lookup(kv.Status.MISSING if data is None else kv.Status.FOUND, data)

        def list_(self) -> Any:
            chain = None
            for key, data in self.data.items():
                chain = kv.Entry(key, data, chain)
            return chain

        def echo(self, data: bytes) -> bytes:
            return data

        def turn(self, several: list[Any]) -> list[Any]:
            return several[::-1]

        def fail(self) -> None:
            raise LookupError("as it was told")

    return Store()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["threads", "asyncio"])
def test_c_clients_by_every_transport(kv: Any, kv_client: Path, mode: str, start: Start, tmp_path: Path) -> None:
    """Each does everything, one after the other; then all of them at once."""
    failures: list[BaseException] = []
    server = Server(store_of(kv), mode=mode, on_error=lambda error, _: failures.append(error))
    ways: list[tuple[str, str]] = []
    ways.append(("tcp", str(server.listen_tcp("127.0.0.1")[1])))
    ways.append(("udp", str(server.listen_udp("127.0.0.1")[1])))
    ways.append(("local", str(server.listen_unix(tmp_path / "s"))))
    with server:
        for way in ways:
            start(kv_client, *way).finish()
        together = [start(kv_client, *way) for way in ways[:1] * 2 + ways[2:] * 2]
        for program in together:
            program.finish()
    assert {type(error) for error in failures} == {LookupError}
