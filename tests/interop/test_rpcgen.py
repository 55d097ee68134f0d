"""Our compiler of the RPC language beside rpcgen's: Debian's own files, and values that go there and back."""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import struct
import subprocess
import sys
from enum import IntEnum
from pathlib import Path
from types import GenericAlias
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.rpc import Service, xdr
from ipckit.rpc.idl import compile_source, read_source
from tests.interop.tirpc import compiled, generate, skip_without_tirpc
from tests.rpc.idl_tools import imported
from tests.rpc.idl_values import Values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.interop.conftest import Program

HERE = Path(__file__).parent
FOLDERS = ("/usr/include/rpcsvc", "/usr/include/tirpc/rpc", "/usr/include/tirpc/rpcsvc")
FILES = sorted(path for folder in FOLDERS for path in Path(folder).glob("*.x"))
# The order of the table in every_type.c.
TYPES = ["Numbers", "Arrays", "Link", "Chain", "ByEnum", "ByInt", "ByUnsigned", "ByBool", "Everything", "Narrow"]
FAILED = 0xFFFFFFFF


@pytest.mark.skipif(not FILES, reason="there are no .x files (Debian, Ubuntu: apt-get install rpcsvc-proto)")
@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_of_the_system_compile_and_their_types_have_codecs(path: Path) -> None:
    made = compile_source(read_source(str(path)), str(path), include=["/usr/include"])
    with imported(made.source) as module:
        found = 0
        for kind in list(vars(module).values()):
            if not isinstance(kind, type) or isinstance(kind, GenericAlias):  # list[X] passes for a type in Python 3.10
                continue
            if dataclasses.is_dataclass(kind) or (issubclass(kind, IntEnum) and kind is not IntEnum):
                xdr.codec(kind)
                found += 1
            elif issubclass(kind, Service):
                for procedure in kind.PROCEDURES:
                    assert procedure.arguments.count == len(procedure.argument_types)
                    assert procedure.result
                found += 1
    assert found


@pytest.mark.slow
def test_the_formatter_leaves_them_alone(tmp_path: Path) -> None:
    ruff = shutil.which("ruff", path=os.path.dirname(sys.executable)) or shutil.which("ruff")
    if ruff is None or not FILES:
        pytest.skip("ruff or .x files are not installed")
    for path in FILES:
        source = compile_source(read_source(str(path)), str(path), include=["/usr/include"]).source
        (tmp_path / f"{path.stem}.py").write_text(source)
    command = [ruff, "format", "--isolated", "--line-length=120", "--no-cache", "--diff", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


# --- values there and back --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """every_type.c with what rpcgen makes of every_type.x."""
    skip_without_tirpc()
    folder = tmp_path_factory.mktemp("rpcgen")
    for name in ("every_type.x", "every_type_sizes.x", "every_type.c"):
        shutil.copy(HERE / name, folder)
    generate(folder, "every_type", h="every_type.h", c="every_type_xdr.c")
    return compiled(folder, "every_type", "every_type_xdr")


@pytest.fixture(scope="session")
def types() -> Iterator[Any]:
    path = HERE / "every_type.x"
    with imported(compile_source(read_source(str(path)), str(path)).source) as module:
        yield module


@pytest.fixture
def through_c(echo: Path, start: Callable[..., Program]) -> Callable[[list[tuple[str, bytes]]], list[bytes | None]]:
    """What C's routines encode after they have decoded it; None where they could not decode it."""

    def go(encodings: list[tuple[str, bytes]]) -> list[bytes | None]:
        asked = b"".join(struct.pack(">II", TYPES.index(name), len(data)) + data for name, data in encodings)
        said = start(echo).finish(asked)
        answers: list[bytes | None] = []
        at = 0
        while at < len(said):
            (length,) = struct.unpack_from(">I", said, at)
            answers.append(None if length == FAILED else said[at + 4 : at + 4 + length])
            at += 4 + (0 if length == FAILED else length)
        return answers

    return go


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TYPES if name != "Narrow"])
def test_random_values_go_to_c_and_come_back(name: str, types: Any, through_c: Any) -> None:
    values = Values(random.Random(name))
    codec = xdr.codec(getattr(types, name))
    drawn = [values.draw(getattr(types, name)) for _ in range(40)]
    encodings = [codec.encode(value) for value in drawn]
    answers = through_c([(name, data) for data in encodings])
    assert answers == encodings
    assert [codec.decode(data) for data in answers] == drawn
    assert len(set(encodings)) > 8


@pytest.mark.slow
def test_integers_that_are_narrow_in_c(types: Any, through_c: Any) -> None:
    codec = xdr.codec(types.Narrow)
    drawn = [types.Narrow(*numbers) for numbers in ((-32768, 65535, -128, 255), (32767, 0, 127, 0), (-1, 1, -1, 1))]
    assert [codec.decode(data) for data in through_c([("Narrow", codec.encode(one)) for one in drawn])] == drawn


@pytest.mark.slow
def test_what_c_refuses_we_refuse(types: Any, through_c: Any) -> None:
    """Encodings with one byte changed: where both decode, both mean the same."""
    dice = random.Random(5531)
    values = Values(dice)
    mangled = []
    for name in TYPES[:-1]:
        for _ in range(40):
            data = bytearray(xdr.codec(getattr(types, name)).encode(values.draw(getattr(types, name))))
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            mangled.append((name, bytes(data)))
    refused = 0
    for (name, data), answer in zip(mangled, through_c(mangled), strict=True):
        codec = xdr.codec(getattr(types, name))
        try:
            value, end = codec.decode_from(data)
        except xdr.XdrError:
            # C takes padding, bools and enums of any value, and strings that are no text.
            refused += 1
            continue
        assert answer is not None, (name, data)
        if "nan" in repr(value):  # the processor changes the bits of some
            continue
        assert codec.encode(value)[:end] == data[:end]
        if b"\0" not in b"".join(_strings(value)):  # where C's strings end
            assert answer == data[:end]
    assert refused > 20


def _strings(value: Any) -> Iterator[bytes]:
    if isinstance(value, str):
        yield value.encode()
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _strings(getattr(value, field.name))
