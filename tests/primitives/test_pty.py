"""Pseudo-terminals: both sides, modes, keys, sizes, hang-ups, messages, and `read_until`."""

from __future__ import annotations

import errno
import fcntl
import os
import pickle
import resource
import signal
import subprocess
import tempfile
import termios
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import (
    AccessError,
    BrokenPeerError,
    BusyError,
    ClosedError,
    EndOfStreamError,
    LimitError,
    MessageTooLargeError,
    NotFoundError,
    SyscallError,
    TimeoutExpired,
    UnsupportedError,
)
from ipckit.pty import PseudoTerminal, PtyMaster, Terminal, WindowSize
from ipckit.testing import reached, wait_blocked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

Sides = tuple[PtyMaster, Terminal]
LINE_LIMIT = 4095  # bytes, and the newline
KEYS = {b"\x03": signal.SIGINT, b"\x1c": signal.SIGQUIT, b"\x1a": signal.SIGTSTP}


def both(**how: object) -> Iterator[Sides]:
    master, terminal = PseudoTerminal.create(**how)  # type: ignore[arg-type]
    with master, terminal:
        yield master, terminal


@pytest.fixture
def cooked() -> Iterator[Sides]:
    yield from both(echo=False)


@pytest.fixture
def raw() -> Iterator[Sides]:
    yield from both(raw=True)


def in_session(terminal: Terminal) -> None:
    os.setsid()
    terminal.make_controlling()


def typed(sides: Sides, keys: bytes) -> bytes:
    sides[0].write(keys)
    return sides[1].read(timeout=10)


def own_terminal() -> str | int:
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return error.errno or -1
    os.close(fd)
    return "open"


def become_controlled(terminal: Terminal, other: Terminal) -> list[object]:
    if os.getpid() == os.getsid(0):
        os._exit(9)  # the test would prove nothing
    seen: list[object] = []

    def attempt(tried: Terminal) -> None:
        try:
            tried.make_controlling()
        except AccessError as error:
            seen.append("setsid" in str(error))
        else:
            seen.append("made")

    with terminal, other:
        attempt(terminal)
        os.setsid()
        seen.append(own_terminal())
        attempt(terminal)
        seen.append(own_terminal())
        seen.append(terminal.foreground == os.getpid())
        attempt(other)
    return seen


def watch_window(terminal: Terminal) -> tuple[int, WindowSize, bool]:
    with terminal:
        in_session(terminal)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH, signal.SIGUSR1})
        reached("watching")
        signum = signal.sigwait({signal.SIGWINCH})
        size = terminal.window_size
        reached("seen")
        signal.sigwait({signal.SIGUSR1})
        return signum, size, signal.SIGWINCH in signal.sigpending()


def watch_keys(terminal: Terminal) -> list[int]:
    with terminal:
        in_session(terminal)
        signal.pthread_sigmask(signal.SIG_BLOCK, set(KEYS.values()))
        seen = []
        for _ in KEYS:
            reached("waiting")
            seen.append(int(signal.sigwait(set(KEYS.values()))))
        return seen


def watch_hang_up(terminal: Terminal) -> list[object]:
    in_session(terminal)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGCONT})
    reached("waiting")
    seen: list[object] = [int(signal.sigwait({signal.SIGHUP})), signal.SIGCONT in signal.sigpending()]
    with terminal:
        seen += [terminal.read(timeout=10), terminal.try_read()]
        for write in (terminal.write, terminal.try_write):
            try:
                write(b"x")
            except BrokenPeerError as error:
                seen.append(error.errno)
    return seen


def from_background(terminal: Terminal) -> list[object]:
    """A process group that is not in the foreground, and that nobody outside it cares for: an orphaned one."""
    in_session(terminal)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    with terminal:
        seen: list[object] = []
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            signal.signal(signal.SIGTTIN, signal.SIG_IGN)
            try:
                terminal.read(timeout=10)
            except SyscallError as error:
                os._exit(error.errno or 0)
            os._exit(0)
        seen.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        return seen


def move_foreground(terminal: Terminal) -> list[object]:
    with terminal:
        in_session(terminal)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
        os.setpgid(pid, pid)
        terminal.set_foreground(pid)
        seen: list[object] = [terminal.foreground == pid]
        terminal.set_foreground(os.getpid())
        seen.append(terminal.foreground == os.getpid())
        for group in (os.getppid(), 1):
            try:
                terminal.set_foreground(group)
            except AccessError as error:
                seen.append(error.errno)
        os.close(reading)
        os.close(writing)
        os.waitpid(pid, 0)
        return seen


def create_without_descriptors() -> str:
    """It fails at each step in turn: at the master, and at the terminal side."""
    failures = []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for spare in (0, 1):
        taken = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        os.close(taken)
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken + spare, hard))
        try:
            PseudoTerminal.create()
        except LimitError as error:
            failures.append(error.syscall)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        after = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        os.close(after)
        assert after == taken, "a descriptor was left open"
    return " ".join(failures)


def test_what_is_written_on_one_side_is_read_on_the_other(cooked: Sides) -> None:
    master, terminal = cooked
    assert master.write(b"typed\n") == 6
    assert terminal.available == 6
    assert terminal.read(timeout=10) == b"typed\n"
    assert terminal.write(b"printed") == 7
    assert master.available == 7
    assert master.read(3, timeout=10) == b"pri"
    buffer = bytearray(10)
    assert master.readinto(buffer, timeout=10) == 4
    assert buffer[:4] == b"nted"
    assert master.try_read() is None
    assert terminal.try_read() is None


def test_both_sides_name_the_terminal_that_tty_names(cooked: Sides) -> None:
    master, terminal = cooked
    assert master.name == terminal.name == os.ttyname(terminal.fileno())
    assert repr(master) == f"<PtyMaster {master.name!r} fd={master.fileno()}>"
    assert repr(terminal) == f"<Terminal {master.name!r} fd={terminal.fileno()}>"
    assert os.isatty(master.fileno())


def test_each_master_has_a_terminal_of_its_own(cooked: Sides) -> None:
    for master, terminal in both(echo=False):
        assert master.name != cooked[0].name
        master.write(b"one\n")
        assert terminal.read(timeout=10) == b"one\n"
        assert cooked[1].try_read() is None


def test_mode_at_creation() -> None:
    cases = [
        ({}, (True, True)),
        ({"echo": False}, (True, False)),
        ({"raw": True}, (False, False)),
        ({"raw": True, "echo": False}, (False, False)),
    ]
    for how, expected in cases:
        for sides in both(**how):
            for side in sides:
                assert (side.canonical, side.echo) == expected, how


def test_cooked_mode_is_what_the_kernel_begins_with() -> None:
    for master, terminal in both():
        begun = terminal.attributes()
        master.set_raw()
        assert terminal.attributes() != begun
        terminal.set_cooked()
        assert master.attributes() == begun
        master.set_cooked(echo=False)
        assert not terminal.echo
        terminal.echo = True
        assert master.attributes() == begun


def test_attributes_are_those_of_termios(cooked: Sides) -> None:
    master, terminal = cooked
    attributes = master.attributes()
    assert attributes == termios.tcgetattr(terminal.fileno())
    attributes[3] &= ~termios.ISIG
    master.set_attributes(attributes)
    assert typed(cooked, b"\x03\n") == b"\x03\n"


def test_echo_is_read_back_by_the_master() -> None:
    for master, terminal in both():
        master.write(b"abc\n")
        assert master.read_until(b"\n", 10) == b"abc\r\n"
        assert terminal.read(timeout=10) == b"abc\n"
        master.echo = False
        master.write(b"secret\n")
        assert terminal.read(timeout=10) == b"secret\n"
        assert master.try_read() is None


def test_echo_shows_control_characters_as_two() -> None:
    for master, _ in both():
        master.write(b"\x01\n")
        assert master.read_until(b"\n", 10) == b"^A\r\n"


def test_newline_is_printed_as_two_bytes_in_cooked_mode_only(cooked: Sides) -> None:
    master, terminal = cooked
    terminal.write(b"a\nb\n")
    assert master.read_until(b"b\r\n", 10) == b"a\r\nb\r\n"  # it comes piece by piece
    master.set_raw()
    terminal.write(b"a\nb\n")
    assert master.read_until(b"b\n", 10) == b"a\nb\n"


def test_carriage_return_is_typed_as_a_newline_in_cooked_mode_only(cooked: Sides) -> None:
    assert typed(cooked, b"enter\r") == b"enter\n"
    cooked[0].set_raw()
    assert typed(cooked, b"enter\r") == b"enter\r"


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (b"abX\x7fc\n", b"abc\n"),
        (b"junk\x15ok\n", b"ok\n"),
        (b"two words\x17one\n", b"two one\n"),
        (b"\x16\x03literal\n", b"\x03literal\n"),
        (b"\x7f\x7fnothing to erase\n", b"nothing to erase\n"),
    ],
    ids=["erase", "kill", "word erase", "literal next", "erase at the beginning"],
)
def test_line_can_be_edited_before_it_is_read(cooked: Sides, keys: bytes, line: bytes) -> None:
    assert typed(cooked, keys) == line


def test_line_is_not_there_before_its_end(cooked: Sides) -> None:
    master, terminal = cooked
    master.write(b"half")
    assert terminal.available == 0
    assert terminal.try_read() is None
    with pytest.raises(TimeoutExpired):
        terminal.read(timeout=0.01)
    master.write(b" and half\nnext\n")
    assert terminal.read(timeout=10) == b"half and half\n"
    assert terminal.read(2, timeout=10) == b"ne"
    assert terminal.read(timeout=10) == b"xt\n"


def test_end_of_file_key_is_an_empty_read_and_the_terminal_goes_on(cooked: Sides) -> None:
    master, terminal = cooked
    assert typed(cooked, b"\x04") == b""
    assert terminal.try_read() is None
    assert typed(cooked, b"next\n") == b"next\n"
    assert typed(cooked, b"half\x04") == b"half"
    assert typed(cooked, b"\x04") == b""
    assert terminal.write(b"still here") == 10
    assert master.read(timeout=10) == b"still here"


def test_line_longer_than_the_limit_loses_its_rest(cooked: Sides) -> None:
    master, terminal = cooked
    for length in (LINE_LIMIT - 1, LINE_LIMIT, LINE_LIMIT + 1, 2 * LINE_LIMIT):
        assert master.write(b"x" * length + b"\n", timeout=10) == length + 1
        line = terminal.read(timeout=10)
        assert line == b"x" * min(length, LINE_LIMIT) + b"\n"
        assert terminal.try_read() is None


def test_raw_mode_passes_every_byte_both_ways_at_once(raw: Sides) -> None:
    every = bytes(range(256)) * 3
    for one, other in (raw, raw[::-1]):
        one.write(every)
        got = b""
        while len(got) < len(every):
            got += other.read(timeout=10)
        assert got == every
        assert one.try_read() is None
        one.write(b"\x03")
        assert other.read(timeout=10) == b"\x03"


def test_flow_control_key_stops_what_is_printed(cooked: Sides) -> None:
    master, terminal = cooked
    master.write(b"\x13")
    assert terminal.try_read() is None  # the kernel comes to the key before it can say so
    while terminal.try_write(b"x"):
        pass
    with pytest.raises(TimeoutExpired):
        terminal.write(b"y", timeout=0.01)
    master.write(b"\x11")
    terminal.write(b"end", timeout=10)
    assert master.read_until(b"end", 10).strip(b"x") == b"end"


def test_size_is_zero_by_zero_unless_somebody_says() -> None:
    fds = os.openpty()
    with PtyMaster.from_fd(fds[0]) as master, Terminal.from_fd(fds[1]) as terminal:
        assert master.window_size == terminal.window_size == (0, 0)
    for _, terminal in both():
        assert terminal.window_size == WindowSize(rows=24, columns=80)
    for master, terminal in both(rows=65535, columns=0):
        assert terminal.window_size == (65535, 0)
        terminal.set_window_size(1, 2)
        assert master.window_size == os.get_terminal_size(terminal.fileno())[::-1] == (1, 2)


@pytest.mark.parametrize(("rows", "columns", "name"), [(-1, 80, "rows"), (24, 65536, "columns"), (65536, -1, "rows")])
def test_size_out_of_range_is_refused(cooked: Sides, rows: int, columns: int, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be from 0 to 65535"):
        cooked[0].set_window_size(rows, columns)
    with pytest.raises(ValueError, match=f"^{name} must be from 0 to 65535"):
        PseudoTerminal.create(rows=rows, columns=columns)
    assert cooked[1].window_size == (24, 80)


def test_new_size_signals_the_foreground_and_the_same_size_does_not(cooked: Sides, spawn: Spawn) -> None:
    master, terminal = cooked
    child = spawn(watch_window, terminal)
    child.wait_reached("watching")
    master.set_window_size(50, 132)
    child.wait_reached("seen")
    master.set_window_size(50, 132)
    child.send_signal(signal.SIGUSR1)
    assert child.result() == (signal.SIGWINCH, (50, 132), False)


def test_keys_signal_the_foreground_group(cooked: Sides, spawn: Spawn) -> None:
    master, terminal = cooked
    child = spawn(watch_keys, terminal)
    for key in KEYS:
        child.wait_reached("waiting")
        master.write(b"typed ahead" + key)
    assert child.result() == list(KEYS.values())
    master.write(b"\n")
    assert terminal.read(timeout=10) == b"\n", "such a key throws away what was typed before it"


def test_controlling_terminal_needs_a_session_that_has_none(cooked: Sides, spawn: Spawn) -> None:
    master, terminal = cooked
    for _, other in both():
        seen = spawn(become_controlled, terminal, other).result()
        assert seen == [True, errno.ENXIO, "made", "open", True, True]
    assert master.foreground == 0


def test_opening_a_terminal_never_makes_it_the_controlling_one(cooked: Sides, spawn: Spawn) -> None:
    assert spawn(open_in_new_session, cooked[1]).result() == [errno.ENXIO] * 5


def open_in_new_session(terminal: Terminal) -> list[object]:
    os.setsid()
    seen = [own_terminal()]
    with terminal:
        os.close(terminal.blocking_descriptor())
        seen.append(own_terminal())
        with Terminal.from_fd(terminal.blocking_descriptor()):
            seen.append(own_terminal())
        with Terminal.open(terminal.name):
            seen.append(own_terminal())
        seen += [own_terminal() for _ in both()]
    return seen


def test_foreground_group_is_set_from_within_the_session(cooked: Sides, spawn: Spawn) -> None:
    master, terminal = cooked
    assert master.foreground == 0
    for call in (lambda: terminal.foreground, lambda: terminal.set_foreground(os.getpgrp())):
        with pytest.raises(SyscallError) as caught:
            call()
        assert caught.value.errno == errno.ENOTTY
    assert spawn(move_foreground, terminal).result() == [True, True, errno.EPERM, errno.EPERM]


def test_background_read_of_an_orphaned_group_is_an_error_and_no_end(cooked: Sides, spawn: Spawn) -> None:
    assert spawn(from_background, cooked[1]).result() == [errno.EIO]


def test_master_reads_what_was_left_and_then_the_end(cooked: Sides) -> None:
    master, terminal = cooked
    terminal.write(b"last words")
    terminal.close()
    assert master.read(4, timeout=10) == b"last"
    assert master.read(timeout=10) == b" words"
    with pytest.raises(OSError, match="Errno 5"):  # the kernel's own word for it
        os.read(master.fileno(), 1)
    for _ in range(2):
        assert master.read(timeout=10) == b""
        assert master.try_read() == b""
        assert master.readinto(bytearray(4), timeout=10) == 0
    with pytest.raises(EndOfStreamError):
        master.receive(10)
    assert list(master) == []


def test_stream_goes_on_when_the_terminal_is_opened_again(cooked: Sides) -> None:
    master, terminal = cooked
    terminal.close()
    assert master.read(timeout=10) == b""
    with master.open_terminal() as again:
        assert again.name == master.name
        assert not again.echo, "its settings stay"
        assert master.try_read() is None
        master.write(b"hello\n")
        assert again.read(timeout=10) == b"hello\n"
    assert master.read(timeout=10) == b""


def test_nobody_has_had_the_terminal_yet_is_no_end() -> None:
    fd = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    with PtyMaster.from_fd(fd) as master:
        assert master.try_read() is None
        with pytest.raises(SyscallError, match="Errno 5"):  # it is locked
            master.open_terminal()


def test_wait_for_what_is_printed_ends_at_the_hang_up(cooked: Sides) -> None:
    master, terminal = cooked
    ends = threading.Thread(target=lambda: (wait_blocked(os.getpid(), "poll"), terminal.close()))
    ends.start()
    try:
        assert master.read(timeout=20) == b""
    finally:
        ends.join()


def test_writing_where_nobody_will_read_fails_once_the_buffer_is_full(raw: Sides) -> None:
    master, terminal = raw
    terminal.close()
    with pytest.raises(BrokenPeerError) as caught:
        master.write(bytes(1 << 20), timeout=20)
    assert 0 < caught.value.completed < 1 << 20
    with pytest.raises(BrokenPeerError):
        while master.try_write(bytes(1 << 20)):  # the kernel's own task may make a little room again
            pass
    with pytest.raises(BrokenPeerError):
        master.send(bytes(1 << 16))


def test_close_of_the_master_hangs_up(cooked: Sides, spawn: Spawn) -> None:
    master, terminal = cooked
    child = spawn(watch_hang_up, terminal)
    child.wait_reached("waiting")
    master.close()
    assert child.result() == [signal.SIGHUP, True, b"", b"", errno.EPIPE, errno.EPIPE]
    assert terminal.read(timeout=10) == b""
    with pytest.raises(BrokenPeerError):
        terminal.write(b"x")


def test_hang_up_needs_the_last_copy_of_the_master(cooked: Sides) -> None:
    master, terminal = cooked
    copy = PtyMaster.from_fd(fcntl.fcntl(master.fileno(), fcntl.F_DUPFD_CLOEXEC, 3))
    with copy:
        master.close()
        assert terminal.try_read() is None
        terminal.write(b"x")
        assert copy.read(timeout=10) == b"x"
    assert terminal.read(timeout=10) == b""


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 100_000, 1 << 20])
def test_messages_in_raw_mode_both_ways(raw: Sides, size: int) -> None:
    data = os.urandom(size)
    for one, other in (raw, raw[::-1]):
        sender = threading.Thread(target=one.send, args=(data, 20))
        sender.start()
        try:
            assert other.receive(timeout=20) == data
        finally:
            sender.join()


def test_message_in_cooked_mode_is_refused_and_types_nothing(cooked: Sides) -> None:
    master, terminal = cooked
    for send in (master.send, master.try_send, terminal.send):
        with pytest.raises(UnsupportedError, match="raw mode: set_raw"):
            send(b"\x03\x03\x03")
    master.write(b"\n")
    assert terminal.read(timeout=10) == b"\n"
    master.set_raw()
    master.send(b"\x03")
    assert terminal.receive(10) == b"\x03"


def test_file_is_typed_by_the_kernel(raw: Sides) -> None:
    for one, other in (raw, raw[::-1]):
        with tempfile.TemporaryFile() as file:
            file.write(bytes(range(256)))
            file.seek(0)
            assert one.sendfile(file, timeout=10) == 256
        assert other.read(timeout=10) == bytes(range(256))


def test_read_until_takes_no_more_than_the_marker(cooked: Sides) -> None:
    master, terminal = cooked
    terminal.write(b"one> two> three")
    assert master.read_until(b"> ", 10) == b"one> "
    assert master.available == 10
    assert master.read_until(b"> ", 10) == b"two> "
    assert master.read(3) == b"thr"
    buffer = bytearray(8)
    assert master.readinto(buffer) == 2
    assert buffer[:2] == b"ee"
    assert master.try_read() is None
    assert master.available == 0


def test_read_until_finds_a_marker_that_comes_in_parts(cooked: Sides) -> None:
    master, terminal = cooked
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(master.read_until(b"<<end>>", 20)))
    reader.start()
    for part in (b"<<<en", b"d>", b"<<e", b"nd", b">>tail"):
        wait_blocked(os.getpid(), "poll", tid=reader.native_id)
        terminal.write(part)
    reader.join()
    assert found == [b"<<<end><<end>>"]
    assert master.read() == b"tail"


def test_read_until_that_gives_up_loses_nothing_and_shows_what_came(cooked: Sides) -> None:
    master, terminal = cooked
    with pytest.raises(TimeoutExpired, match="no b'prompt'; nothing came"):
        master.read_until(b"prompt", 0)
    terminal.write(b"error: no such file")
    for timeout in (0, 0.01):
        with pytest.raises(TimeoutExpired, match="no b'prompt'; what came last is b'error: no such file'"):
            master.read_until(b"prompt", timeout)
    with pytest.raises(MessageTooLargeError, match="no b'prompt' within limit=5 bytes"):
        master.read_until(b"prompt", 10, limit=5)
    assert master.read_until(b"such", 0, limit=14) == b"error: no such"
    terminal.close()
    with pytest.raises(EndOfStreamError, match="before b'prompt' came; what came last is b' file'"):
        master.read_until(b"prompt", 10)
    assert master.read(timeout=10) == b" file"
    assert master.read(timeout=10) == b""


@pytest.mark.parametrize("into", [False, True], ids=["read", "readinto"])
def test_large_read_finds_what_came_after_the_marker(cooked: Sides, into: bool) -> None:
    master, terminal = cooked
    found: list[bytes] = []

    def read() -> None:
        buffer = bytearray(1 << 20)
        found.append(bytes(buffer[: master.readinto(buffer)]) if into else master.read(len(buffer)))

    terminal.write(b"login: root")
    assert master.read_until(b"login: ", timeout=20) == b"login: "
    reader = threading.Thread(target=read)
    reader.start()
    reader.join(20)
    in_vain = reader.is_alive()
    terminal.write(b"x")  # who waits for the kernel's bytes does so no longer
    reader.join()
    assert (found, in_vain) == ([b"root"], False)
    assert master.read(timeout=20) == b"x"


def test_read_until_limit_counts_the_marker(cooked: Sides) -> None:
    master, terminal = cooked
    terminal.write(b"12345>")
    with pytest.raises(MessageTooLargeError):
        master.read_until(b">", 10, limit=5)
    assert master.read_until(b">", 10, limit=6) == b"12345>"


def test_read_until_ends_at_close_and_at_a_bad_argument(cooked: Sides) -> None:
    master, terminal = cooked
    for bad in ("$ ", 5):
        with pytest.raises(TypeError, match="marker must be bytes"):
            master.read_until(bad, 0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="marker must have at least 1 byte"):
        master.read_until(b"", 10)
    with pytest.raises(ValueError, match="timeout"):
        master.read_until(b"x", -1)
    terminal.write(b"ab")
    assert master.read_until(b"a", 10) == b"a"
    master.close()
    for use in (master.read, master.try_read, lambda: master.read_until(b"b"), lambda: master.available):
        with pytest.raises(ClosedError):
            use()


def test_read_until_in_many_threads_gives_each_line_to_one(raw: Sides) -> None:
    master, terminal = raw
    lines: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: lines.extend(master.read_until(b"\n", 20) for _ in range(50))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for number in range(200):
        terminal.write(b"line %d\n" % number, timeout=20)
    for thread in threads:
        thread.join()
    assert sorted(lines) == sorted(b"line %d\n" % number for number in range(200))


def test_read_until_from_a_signal_handler_of_its_own_thread_is_refused(cooked: Sides) -> None:
    master, terminal = cooked
    refused: list[type] = []

    def handler(*_: object) -> None:
        try:
            master.read_until(b"x", 0)
        except BusyError as error:
            refused.append(type(error))
        terminal.write(b"done")

    before = signal.signal(signal.SIGUSR1, handler)
    main = threading.main_thread().ident
    assert main is not None
    sender = threading.Thread(
        target=lambda: (wait_blocked(os.getpid(), "poll"), signal.pthread_kill(main, signal.SIGUSR1))
    )
    try:
        sender.start()
        assert master.read_until(b"done", 20) == b"done"
        assert refused == [BusyError]
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, before)


def test_pickle_with_bytes_in_it_is_refused(cooked: Sides) -> None:
    master, terminal = cooked
    terminal.write(b"ab")
    master.read_until(b"a", 10)
    with pytest.raises(TypeError, match="bytes in it that came after a marker: read"):
        pickle.dumps(master)


def test_reads_of_nothing_are_refused(cooked: Sides) -> None:
    for side in cooked:
        for read in (lambda s: s.read(0), lambda s: s.read(-1), lambda s: s.try_read(0)):
            with pytest.raises(ValueError, match="size must be at least 1"):
                read(side)
    cooked[1].write(b"ab")
    cooked[0].read_until(b"a", 10)
    with pytest.raises(ValueError, match="size must be at least 1"):
        cooked[0].read(0)


def test_descriptor_of_another_program_is_taken_over_without_a_trace(cooked: Sides) -> None:
    master, terminal = cooked
    theirs = terminal.blocking_descriptor()
    ours = os.dup(theirs)
    os.set_inheritable(ours, True)
    with Terminal.from_fd(ours) as taken:
        assert os.get_blocking(theirs), "the other holder of the description never notices"
        assert not os.get_blocking(taken.fileno())
        assert not os.get_inheritable(taken.fileno())
        assert taken.name == terminal.name
        assert taken.try_read() is None
        with pytest.raises(OSError, match="Errno 9"):
            os.fstat(ours)
    os.close(theirs)
    shared = os.dup(terminal.fileno())
    with Terminal.from_fd(shared) as taken:
        assert taken.fileno() == shared
    fd = fcntl.fcntl(master.fileno(), fcntl.F_DUPFD, 3)
    with PtyMaster.from_fd(fd) as taken_master:
        assert taken_master.fileno() == fd
        assert not os.get_inheritable(fd)
        assert taken_master.name == master.name


def test_descriptor_that_is_no_terminal_is_refused_and_stays_open(cooked: Sides) -> None:
    reading, writing = os.pipe()
    for cls in (Terminal, PtyMaster):
        with pytest.raises(ValueError, match="fd must be"):
            cls.from_fd(reading)
        with pytest.raises(SyscallError, match="Errno 9"):
            cls.from_fd(1 << 20)
    os.close(reading)
    os.close(writing)
    with pytest.raises(ValueError, match="fd must be the master"):
        PtyMaster.from_fd(cooked[1].fileno())
    assert not cooked[1].closed
    assert os.fstat(cooked[1].fileno())


def test_terminal_is_opened_by_its_path(cooked: Sides) -> None:
    master, _ = cooked
    with Terminal.open(master.name) as terminal:
        terminal.write(b"x")
        assert master.read(timeout=10) == b"x"
    with pytest.raises(NotFoundError, match="/dev/pts/none"):
        Terminal.open("/dev/pts/none")
    with pytest.raises(ValueError, match="/dev/null is none"):
        Terminal.open("/dev/null")


def test_program_uses_a_blocking_descriptor_as_its_standard_input(cooked: Sides) -> None:
    master, terminal = cooked
    stdin = terminal.blocking_descriptor()
    with subprocess.Popen(["sh", "-c", "read line; echo $line"], stdin=stdin, stdout=subprocess.PIPE) as program:
        os.close(stdin)
        wait_blocked(program.pid, "read")
        master.write(b"typed\n")
        assert program.stdout is not None
        assert program.stdout.read() == b"typed\n"


def test_no_descriptor_is_left_where_making_one_fails(spawn: Spawn) -> None:
    assert spawn(create_without_descriptors).result() == "posix_openpt ioctl(TIOCGPTPEER)"


def test_waits_use_no_processor_time(raw: Sides) -> None:
    """Whatever poll(2) says of a terminal that is full, or has a little room."""

    def spent(one: PtyMaster | Terminal, other: PtyMaster | Terminal, room: int) -> float:
        if room:
            other.read(room, timeout=10)
        before = time.thread_time()
        with pytest.raises(TimeoutExpired):
            one.write(bytes(1 << 16), 0.06)
        return time.thread_time() - before

    for sides in (raw, raw[::-1]):
        with pytest.raises(TimeoutExpired):
            sides[0].write(bytes(1 << 20), 0.01)
        for room in (0, 100):
            # A virtual machine that is held up counts that as its processes' time; who spins spends it all each time.
            assert any(spent(*sides, room) < 0.02 for _ in range(10))
