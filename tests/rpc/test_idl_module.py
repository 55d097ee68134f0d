"""The written module: formatted, typed, the same every time, with names that Python takes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ipckit
from ipckit import rpc
from ipckit.rpc import xdr
from ipckit.rpc.idl import compile_source
from tests.rpc.idl_tools import HOSTILE_NAMES, imported, written

ROOT = Path(ipckit.__file__).parent.parent
SERVICE = """
const MOST = 255;
/* What is stored. */
struct value { opaque data<>; unsigned version_; };
/* Keys and their values. */
program KEY_VALUE {
    version KEY_VALUE_1 {
        void NULL(void) = 0;
        /* The value of a key. */
        value *GET(string key<MOST>) = 1;
        void put(string<MOST>, value new) = 2;
        bool LIST() = 3; /* is it possible? */
    } = 1;
} = 0x20000099;
"""
MODULE = '''
from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated

from ipckit import rpc
from ipckit.rpc import xdr

MOST = 255


@dataclass(slots=True)
class Value:
    """What is stored."""

    data: bytes
    version_: xdr.UInt


class KeyValueV1(rpc.Service):
    """Version 1 of KEY_VALUE: the server's side.

    Keys and their values.
    """

    PROGRAM = 0x20000099
    VERSION = 1
    NAME = "KEY_VALUE"
    PROCEDURES = (
        rpc.Procedure(0, "null", (), None),
        rpc.Procedure(1, "get", (Annotated[str, xdr.Max(MOST)],), Value | None),
        rpc.Procedure(2, "put", (Annotated[str, xdr.Max(MOST)], Value), None),
        rpc.Procedure(3, "list_", (), bool),
    )

    def null(self) -> rpc.Returns[None]:
        """Do nothing, and so show that the server is there."""

    @abstractmethod
    def get(self, key: str) -> rpc.Returns[Value | None]:
        """The value of a key."""

    @abstractmethod
    def put(self, arg1: str, new: Value) -> rpc.Returns[None]: ...

    @abstractmethod
    def list_(self) -> rpc.Returns[bool]:
        """is it possible?"""


class KeyValueV1Client(rpc.Stub):
    """Version 1 of KEY_VALUE: the client's side."""

    SERVICE = KeyValueV1

    def null(self, *, timeout: float | None = None) -> None:
        self._call("null", (), timeout)

    def get(self, key: str, *, timeout: float | None = None) -> Value | None:
        """The value of a key."""
        result: Value | None = self._call("get", (key,), timeout)
        return result

    def put(self, arg1: str, new: Value, *, timeout: float | None = None) -> None:
        self._call("put", (arg1, new), timeout)

    def list_(self, *, timeout: float | None = None) -> bool:
        """is it possible?"""
        result: bool = self._call("list_", (), timeout)
        return result
'''


def test_a_service_as_it_is_written():
    text = written(SERVICE)
    assert text.partition("\n\nclass KeyValueV1AsyncClient")[0] == MODULE
    clients = text.split("\n\n\n")[-2:]
    as_coroutines = clients[0].replace("    def ", "    async def ").replace("self._call", "await self._call")
    as_coroutines = as_coroutines.replace("V1Client(rpc.Stub)", "V1AsyncClient(rpc.AsyncStub)")
    assert clients[1].rstrip("\n") == as_coroutines.replace("client's side.", "client's side, with coroutines.")


def test_a_service_is_abstract_and_its_handlers_are_its_methods():
    with imported(compile_source(SERVICE, "a.x").source) as module:
        with pytest.raises(TypeError, match="abstract"):
            module.KeyValueV1()

        class Store(module.KeyValueV1):
            def get(self, key):
                return module.Value(key.encode(), 1)

            def put(self, key, value):
                pass

            def list_(self):
                return True

        store = Store()
        handlers = store.handlers()
        assert sorted(handlers) == [0, 1, 2, 3]
        procedure, method = handlers[1]
        assert method(*procedure.arguments.decode(procedure.arguments.encode(("abc",)))).data == b"abc"
        assert handlers[0][1]() is None
        assert issubclass(module.KeyValueV1Client, rpc.Stub)
        assert issubclass(module.KeyValueV1AsyncClient, rpc.AsyncStub)


def test_arguments_travel_one_after_the_other():
    procedure = rpc.Procedure(1, "f", (int, str, xdr.UHyper), None)
    data = procedure.arguments.encode((1, "ab", 2))
    assert data.hex(" ", 4) == "00000001 00000002 61620000 00000000 00000002"
    assert procedure.arguments.decode(b"head" + data + b"tail", 4) == (1, "ab", 2)
    with pytest.raises(TypeError, match="takes 3 arguments, not 2"):
        procedure.arguments.encode((1, "ab"))
    with pytest.raises(xdr.XdrError):
        procedure.arguments.decode(data[:-1])
    with pytest.raises(xdr.XdrError):
        procedure.arguments.encode((1, "ab", -2))
    assert rpc.Procedure(0, "null").arguments.encode(()) == b""
    assert rpc.Procedure(0, "null").arguments.decode(b"") == ()
    with pytest.raises(ValueError, match="number must be from 0 to 4294967295"):
        rpc.Procedure(1 << 32, "f")


def test_a_service_that_contradicts_itself_is_refused():
    class Twice(rpc.Service):
        PROCEDURES = (rpc.Procedure(1, "a"), rpc.Procedure(1, "b"))

        def a(self):
            pass

    with pytest.raises(TypeError, match="Twice has two procedures of number 1"):
        Twice().handlers()

    class Lacks(rpc.Service):
        PROCEDURES = (rpc.Procedure(1, "a"),)

    with pytest.raises(TypeError, match="Lacks has no method 'a'"):
        Lacks().handlers()


def test_a_method_may_ask_for_the_call():
    from ipckit.rpc.service import takes_call

    def without(a): ...
    def an_argument(a, call): ...
    def by_keyword(a, *, call): ...
    def with_default(a, *, call=None): ...
    def all_of_them(*call, **others): ...

    methods = (without, an_argument, by_keyword, with_default, all_of_them, print)
    assert [takes_call(method) for method in methods] == [False, False, True, True, False, False]


def test_the_module_is_the_same_every_time_and_everywhere(tmp_path):
    text = HOSTILE_NAMES.read_text()
    once = compile_source(text, "x.x").source
    assert compile_source(text, str(tmp_path / "x.x")).source == once


@pytest.mark.slow
def test_names_that_python_keeps_for_itself():
    with imported(compile_source(HOSTILE_NAMES.read_text(), "x.x").source) as module:
        for name, kind in vars(module).items():
            if hasattr(kind, "__dataclass_fields__"):
                xdr.codec(kind)
            elif name.endswith("Client"):
                service = kind.SERVICE
                for procedure in service.PROCEDURES:
                    assert callable(getattr(kind, procedure.name))
                    assert procedure.arguments.count == len(procedure.argument_types)
                    assert procedure.result


def formatted(folder: Path) -> subprocess.CompletedProcess[str]:
    ruff = shutil.which("ruff", path=Path(sys.executable).parent) or shutil.which("ruff")
    if ruff is None:
        pytest.skip("ruff is not installed")
    command = [ruff, "format", "--isolated", "--line-length=120", "--no-cache", "--diff", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


@pytest.mark.slow
def test_the_formatter_changes_nothing(tmp_path):
    (tmp_path / "service.py").write_text(compile_source(SERVICE, "a.x").source)
    (tmp_path / "names.py").write_text(compile_source(HOSTILE_NAMES.read_text(), "b.x").source)
    for length in range(20, 90):  # every place where a line may have to be broken
        name = "n" * length
        text = f"""
        enum e_{name} {{ A }};
        const {name} = 1;
        typedef opaque t{name}<{name}>;
        struct s{name} {{ t{name} {name}[{name}]; /* {name} */ int *b; }};
        union u{name} switch (int {name}) {{ case 1: case {name}: t{name} one; default: void; }};
        union v{name} switch (e_{name} k) {{ case A: void; default: void; }};
        program p{name} {{ version v {{
            int {name}(int a, string b<{name}>) = 1;
            void f(int {name}) = 2; int g(s{name} {name}) = 3;
        }} = 1; }} = {name};
        """.replace(f"case {name}", "case 99")
        (tmp_path / f"broken_{length}.py").write_text(compile_source(text, "c.x").source)
    done = formatted(tmp_path)
    assert done.returncode == 0, done.stdout
