"""Shared memory with programs that are not ours: C on plain libc, Perl, the standard library, coreutils."""

from __future__ import annotations

import os
import secrets
import sys
from multiprocessing import shared_memory
from typing import TYPE_CHECKING

import pytest

from ipckit import Mapping, Memfd, sockets
from ipckit.compat.shared_memory import ShareableList
from ipckit.memfd import Seal
from ipckit.posix import SharedMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.interop.conftest import Program

    Start = Callable[..., Program]
    Build = Callable[[str], Path]


@pytest.fixture
def name() -> str:
    return f"/ipckit-interop-{secrets.token_hex(8)}"


@pytest.fixture
def memory(name: str) -> Iterator[SharedMemory]:
    with SharedMemory.create(name, size=4096, unlink_on_close=True) as made:
        yield made


def test_a_c_program_reads_and_writes_what_we_made(start: Start, build: Build, memory: SharedMemory) -> None:
    memory.buf[:5] = b"hello"
    assert start(build("shm"), "read", memory.name, "5").finish() == b"hello"
    start(build("shm"), "write", memory.name, "Jello").finish()
    assert bytes(memory.buf[:6]) == b"Jello\0"


def test_we_use_what_a_c_program_made(start: Start, build: Build, name: str) -> None:
    maker = start(build("shm"), "create", name, "5000")
    assert maker.line() == b"ready"
    with SharedMemory.open(name) as memory, Mapping.open(f"/dev/shm{name}") as mapping:
        assert memory.size == mapping.size == 5000
        memory.buf[:3] = b"abc"
        assert start(build("shm"), "read", name, "3").finish() == bytes(mapping.buf[:3]) == b"abc"
        maker.finish()
        assert not os.path.exists(f"/dev/shm{name}")
        memory.buf[0] = 0
        assert mapping.buf[0] == 0


def test_a_size_that_a_c_program_sets_is_seen(start: Start, build: Build, memory: SharedMemory) -> None:
    memory.buf[:3] = b"abc"
    start(build("shm"), "size", memory.name, "10000").finish()
    assert memory.size == 4096
    assert memory.refresh() == 10000
    assert bytes(memory.buf[:4]) == b"abc\0"
    start(build("shm"), "size", memory.name, "2").finish()
    assert memory.refresh() == 2


def test_atomic_additions_of_three_processes_are_exact(start: Start, build: Build, memory: SharedMemory) -> None:
    programs = [start(build("shm"), "add", memory.name, "200000") for _ in range(3)]
    for program in programs:
        program.finish()
    assert memory.view("q")[0] == 600_000


def test_a_c_program_receives_a_sealed_memfd(start: Start, build: Build, tmp_path: Path) -> None:
    with (
        Memfd.create("config", size=5, executable=True) as memfd,
        sockets.unix.Stream.listen(str(tmp_path / "s")) as listener,
    ):
        memfd.write(b"hello")
        memfd.add_seals(Seal.SHRINK | Seal.GROW | Seal.WRITE | Seal.SEAL)
        program = start(build("shm"), "memfd", tmp_path / "s")
        with listener.accept(timeout=10) as connection:
            connection.send_fds(b"x", [memfd])
            assert program.finish() == b"5 15 hello\n"


def test_perl_and_coreutils_see_the_file(start: Start, memory: SharedMemory) -> None:
    memory.buf[:5] = b"hello"
    script = "open F, '+<', $ARGV[0] or die $!; read F, $_, 5; seek F, 0, 0; print F uc; print"
    assert start("perl", "-e", script, f"/dev/shm{memory.name}").finish() == b"hello"
    assert bytes(memory.buf[:6]) == b"HELLO\0"
    assert start("stat", "-c", "%s %a", f"/dev/shm{memory.name}").finish() == b"4096 600\n"


def test_the_standard_library_in_another_process(start: Start) -> None:
    numbers = ShareableList([1, "two", None])
    program = (
        "import sys; from multiprocessing import shared_memory, resource_tracker\n"
        "resource_tracker.register = lambda *_: None\n"  # before 3.13 it would unlink what it only attached to
        "items = shared_memory.ShareableList(name=sys.argv[1]); print(list(items)); items[1] = 'TWO'; items.shm.close()"
    )
    found = start(sys.executable, "-c", program, numbers.shm.name).finish()
    assert found == b"[1, 'two', None]\n"
    assert list(numbers) == [1, "TWO", None]
    numbers.shm.close()
    numbers.shm.unlink()


def test_posix_and_standard_and_mapping_are_the_same_bytes() -> None:
    made = shared_memory.SharedMemory(create=True, size=100)
    try:
        with SharedMemory.open(f"/{made.name}") as posix, Mapping.open(f"/dev/shm/{made.name}") as mapping:
            made.buf[0], posix.buf[1], mapping.buf[2] = 1, 2, 3
            assert bytes(made.buf[:3]) == bytes(posix.buf[:3]) == bytes(mapping.buf[:3]) == b"\1\2\3"
    finally:
        made.close()
        made.unlink()
