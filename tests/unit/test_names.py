"""Names of POSIX objects: what the kernel takes, and a sentence for what it does not."""

from __future__ import annotations

import os
from pathlib import Path

import posix_ipc
import pytest

from ipckit import Fifo, inspect
from ipckit._names import NAME_MAX, checked_path, posix_name, unique_name
from ipckit.errors import NotFoundError
from ipckit.sockets.unix import Stream
from ipckit.testing import Spawn


@pytest.mark.parametrize("name", ["/a", "/with space", "/...", "/ünïcode", "/" + "x" * NAME_MAX, "/-", "/a\nb"])
def test_good_names_are_returned_and_taken_by_the_kernel(name: str) -> None:
    assert posix_name(name) is name
    try:
        memory = posix_ipc.SharedMemory(name, posix_ipc.O_CREX, size=1)
    except posix_ipc.ExistentialError:  # from somebody else it has taken it
        return
    memory.close_fd()
    memory.unlink()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "begin with a slash"),
        ("name", "begin with a slash"),
        ("/", "at least one character"),
        ("//", "no slash but its first"),
        ("/a/b", "no slash but its first"),
        ("/a/", "no slash but its first"),
        ("/a\0b", "NUL"),
        ("/.", "directory's own entry"),
        ("/..", "directory's own entry"),
        ("/" + "x" * (NAME_MAX + 1), "at most 255 bytes after its slash, this one has 256"),
        ("/" + "ü" * 128, "this one has 256"),
    ],
)
def test_bad_names_are_refused_with_the_rule(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        posix_name(name)


@pytest.mark.parametrize("name", [None, b"/a", 7, ["/a"]])
def test_other_types_are_refused(name: object) -> None:
    with pytest.raises(TypeError, match=f"must be a str .* not {type(name).__name__}"):
        posix_name(name)


def test_prefix_counts_against_the_limit() -> None:
    assert posix_name("/" + "x" * 251, prefix="sem.")
    with pytest.raises(ValueError, match="at most 251 bytes"):
        posix_name("/" + "x" * 252, prefix="sem.")


def test_long_name_is_cut_in_the_message() -> None:
    with pytest.raises(ValueError) as caught:
        posix_name("/" + "x" * 100_000)
    assert len(str(caught.value)) < 200


def test_unique_names_are_good_and_differ_and_carry_the_pid(spawn: Spawn) -> None:
    names = {unique_name() for _ in range(1000)}
    assert len(names) == 1000
    assert all(posix_name(name).startswith(f"/ipckit-{os.getpid()}-") for name in names)
    assert spawn(unique_name).result() not in names


def relative_paths(folder: str) -> list[str]:
    os.chdir(folder)
    os.rmdir(folder)
    told = []
    for make in (Fifo.create, Stream.listen, lambda path: inspect.find(f"fifo:{path}")):
        try:
            make("name")
        except NotFoundError as error:
            told.append(str(error))
    assert checked_path("/tmp") == "/tmp"
    return told


def test_a_relative_path_in_a_directory_that_was_removed(spawn: Spawn, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    told = spawn(relative_paths, str(tmp_path / "gone")).result()
    assert told == ["[Errno 2] getcwd: No such file or directory (the current directory was removed): 'name'"] * 3
