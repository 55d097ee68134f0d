"""Pipes: atomicity, ends of the stream, capacity, packets, framing, and what other programs see of them."""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import os
import pickle
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.errors import (
    AccessError,
    BrokenPeerError,
    BusyError,
    ClosedError,
    EndOfStreamError,
    LimitError,
    MessageTooLargeError,
    PeerDiedError,
    TimeoutExpired,
)
from ipckit.features import limits
from ipckit.pipe import PIPE_BUF, PacketReader, PacketWriter, Pipe, PipeReader, PipeWriter
from ipckit.testing import pause, reached, wait_blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipckit.testing import Spawn


@pytest.fixture
def pipe() -> Iterator[tuple[PipeReader, PipeWriter]]:
    reader, writer = Pipe.create()
    with reader, writer:
        yield reader, writer


Ends = tuple[PipeReader, PipeWriter]


def fill(writer: PipeWriter) -> int:
    written = 0
    while count := writer.try_write(bytes(PIPE_BUF)):
        written += count
    return written


def write_records(writer: PipeWriter, letter: bytes, size: int, count: int) -> None:
    with writer:
        for _ in range(count):
            writer.write(letter * size)


def send_messages(writer: PipeWriter, letter: bytes, count: int) -> None:
    with writer:
        for index in range(count):
            writer.send(letter * (1 + index * 37 % (PIPE_BUF - 4)))


def receive_one(reader: PipeReader) -> bytes:
    with reader:
        return reader.receive()


def read_all(reader: PipeReader) -> int:
    with reader:
        total = 0
        while chunk := reader.read():
            total += len(chunk)
        return total


def hold_writer(writer: PipeWriter) -> None:
    with writer:
        pause("holding")


def read_under_signals(reader: PipeReader, writer: PipeWriter) -> float:
    ticks: list[int] = []
    signal.signal(signal.SIGALRM, lambda *_: ticks.append(1))
    with reader, writer:
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)  # a wait that began anew each time would never end
        started = time.monotonic()
        with pytest.raises(TimeoutExpired):
            reader.read(timeout=0.3)
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert ticks
        return time.monotonic() - started


def send_half_then_wait(writer: PipeWriter) -> None:
    with writer:
        writer.write(b"\0\0\0\x0ahalf")
        pause("half")


def test_bytes_go_through(pipe: Ends) -> None:
    reader, writer = pipe
    assert writer.write(b"abc") == 3
    assert reader.available == 3
    assert reader.read(2) == b"ab"
    assert reader.read() == b"c"
    assert reader.available == 0


def test_nothing_is_not_the_end(pipe: Ends) -> None:
    reader, writer = pipe
    assert reader.try_read() is None
    assert reader.try_receive() is None
    for timeout in (0, 0.01):
        with pytest.raises(TimeoutExpired):
            reader.read(timeout=timeout)
        with pytest.raises(TimeoutExpired):
            reader.receive(timeout)
        with pytest.raises(TimeoutExpired):
            reader.readinto(bytearray(8), timeout)
    writer.close()
    assert reader.read() == b""
    assert reader.try_read() == b""
    assert reader.readinto(bytearray(8)) == 0
    with pytest.raises(EndOfStreamError):
        reader.receive()
    with pytest.raises(EndOfStreamError):
        reader.try_receive()
    assert list(reader) == []


@pytest.mark.parametrize("bad", [-1, float("nan"), True, "1"])
def test_bad_timeouts_are_refused_before_anything_happens(pipe: Ends, bad: float) -> None:
    reader, writer = pipe
    for call in (writer.write, writer.send):
        with pytest.raises((ValueError, TypeError)):
            call(b"x", bad)
    assert reader.available == 0
    writer.send(b"x")
    for take in (reader.read, reader.receive, reader.readinto):
        with pytest.raises((ValueError, TypeError)):
            take(bytearray(4) if take == reader.readinto else 4, bad) if take != reader.receive else take(bad)
    assert reader.receive(0) == b"x"


def test_an_empty_write_sends_nothing_and_an_empty_message_is_one(pipe: Ends) -> None:
    reader, writer = pipe
    assert writer.write(b"") == 0
    assert reader.available == 0
    writer.send(b"")
    writer.send(memoryview(b""))
    assert reader.receive(0) == b""
    assert reader.try_receive() == b""


def test_any_contiguous_buffer_goes_in(pipe: Ends) -> None:
    reader, writer = pipe
    numbers = array.array("i", [1, 2, 3])
    for data in (bytearray(b"abcd"), memoryview(b"abcd"), numbers, memoryview(numbers)):
        assert writer.write(data) == memoryview(data).nbytes
        assert reader.read() == memoryview(data).tobytes()
        writer.send(data)
        assert reader.receive(0) == memoryview(data).tobytes()
    for wrong in (memoryview(b"abcd")[::2], "text", 5, None):
        with pytest.raises((TypeError, BufferError)):
            writer.write(wrong)  # type: ignore[arg-type]
        with pytest.raises((TypeError, BufferError)):
            writer.send(wrong)  # type: ignore[arg-type]
    assert reader.available == 0


def test_readinto(pipe: Ends) -> None:
    reader, writer = pipe
    writer.write(b"abcdef")
    room = bytearray(4)
    assert reader.readinto(room) == 4
    assert room == b"abcd"
    assert reader.readinto(memoryview(room)[1:]) == 2
    assert room == b"aefd"
    with pytest.raises((TypeError, BufferError)):
        reader.readinto(b"read only")
    with pytest.raises(ValueError, match="size must be at least 1"):
        reader.readinto(bytearray())


@pytest.mark.parametrize("size", [0, -1])
def test_a_read_of_no_bytes_is_refused_and_not_taken_for_the_end(pipe: Ends, size: int) -> None:
    with pytest.raises(ValueError, match="size must be at least 1"):
        pipe[0].read(size)
    with pytest.raises(ValueError, match="size must be at least 1"):
        pipe[0].try_read(size)


def test_writes_of_pipe_buf_never_interleave(pipe: Ends, spawn: Spawn) -> None:
    reader, writer = pipe
    children = [spawn(write_records, writer, letter, PIPE_BUF, 50) for letter in (b"a", b"b", b"c", b"d")]
    writer.close()
    stream = bytearray()
    while chunk := reader.read(timeout=20):
        stream += chunk
    assert len(stream) == 4 * 50 * PIPE_BUF
    for start in range(0, len(stream), PIPE_BUF):
        assert len(set(stream[start : start + PIPE_BUF])) == 1
    assert [child.join() for child in children] == [0] * 4


def test_small_messages_of_several_writers_stay_whole(pipe: Ends, spawn: Spawn) -> None:
    reader, writer = pipe
    children = [spawn(send_messages, writer, letter, 200) for letter in (b"a", b"b", b"c")]
    writer.close()
    got = list(reader)
    for letter in (b"a", b"b", b"c"):
        mine = [message for message in got if message[:1] == letter]
        assert mine == [letter * (1 + index * 37 % (PIPE_BUF - 4)) for index in range(200)]
    assert len(got) == 600
    assert [child.join() for child in children] == [0] * 3


def test_a_write_without_room_is_all_or_nothing_up_to_pipe_buf(pipe: Ends) -> None:
    reader, writer = pipe
    assert fill(writer) == writer.capacity
    assert writer.try_write(b"x") == 0
    assert writer.try_send(b"x") is False
    reader.read(PIPE_BUF)
    assert writer.try_write(bytes(2 * PIPE_BUF)) == PIPE_BUF  # a longer one goes in part
    with pytest.raises(TimeoutExpired) as caught:
        writer.write(b"x", timeout=0)
    assert caught.value.completed == 0


def test_a_long_write_tells_how_much_went_out(pipe: Ends) -> None:
    reader, writer = pipe
    size = writer.capacity + 3 * PIPE_BUF
    with pytest.raises(TimeoutExpired) as caught:
        writer.write(bytes(size), timeout=0.01)
    assert caught.value.completed == writer.capacity == reader.available
    reader.close()
    with pytest.raises(BrokenPeerError) as broken:
        writer.write(b"x")
    assert broken.value.errno == errno.EPIPE


def test_a_long_write_counts_what_went_out_before_the_reader_closed(pipe: Ends) -> None:
    reader, writer = pipe
    caught: list[BrokenPeerError] = []

    def write() -> None:
        with pytest.raises(BrokenPeerError) as info:
            writer.write(bytes(1 << 20))
        caught.append(info.value)

    thread = threading.Thread(target=write)
    thread.start()
    wait_blocked(os.getpid(), "poll", tid=thread.native_id)
    reader.close()
    thread.join()
    assert caught[0].completed == 65536


def test_a_message_cut_short_by_time_goes_on_with_the_next_call(pipe: Ends) -> None:
    reader, writer = pipe
    big = os.urandom(100_000)
    with pytest.raises(TimeoutExpired) as caught:
        writer.send(big, timeout=0)
    assert 0 < caught.value.completed < len(big)
    with pytest.raises(TimeoutExpired) as again:
        writer.send(b"next", timeout=0)
    assert again.value.completed == 0
    assert writer.try_send(b"next") is False
    assert writer.try_write(b"raw") == 0
    with pytest.raises(TypeError, match="flush"):
        pickle.dumps(writer)
    with pytest.raises(TimeoutExpired):
        reader.receive(timeout=0)  # takes what is there, and keeps it
    with pytest.raises(TypeError, match="between the parts"):
        pickle.dumps(reader)
    writer.flush()
    writer.send(b"next")
    assert reader.receive(timeout=0) == big
    assert reader.receive(timeout=0) == b"next"


def test_a_large_message_goes_through_a_small_pipe(pipe: Ends, spawn: Spawn) -> None:
    reader, writer = pipe
    child = spawn(receive_one, reader)
    big = os.urandom(3_000_000)
    writer.send(big, timeout=20)
    assert child.result() == big


def test_the_stream_ends_when_the_last_writer_in_any_process_is_gone(pipe: Ends, spawn: Spawn) -> None:
    reader, writer = pipe
    child = spawn(hold_writer, writer)
    child.wait_reached("holding")
    writer.close()
    assert reader.try_read() is None
    child.kill()
    child.join()
    assert reader.read(timeout=10) == b""
    poller = select.poll()
    poller.register(reader, select.POLLIN)
    assert poller.poll(0) == [(reader.fileno(), select.POLLHUP)]


def test_a_writer_killed_in_mid_message_is_told_from_the_end(pipe: Ends, spawn: Spawn) -> None:
    reader, writer = pipe
    child = spawn(send_half_then_wait, writer)
    child.wait_reached("half")
    writer.close()
    with pytest.raises(TimeoutExpired):
        reader.receive(timeout=0)
    child.kill()
    child.join()
    with pytest.raises(PeerDiedError, match="4 of the 10 bytes"):
        reader.receive(timeout=10)
    with pytest.raises(PeerDiedError):
        reader.receive(timeout=10)


@pytest.mark.parametrize("cut", [1, 3])
def test_an_end_inside_a_header_is_no_clean_end(pipe: Ends, cut: int) -> None:
    reader, writer = pipe
    writer.write(b"\0" * cut)
    writer.close()
    with pytest.raises(PeerDiedError, match=f"{cut} of the 4 bytes of a header"):
        reader.receive()


def test_a_message_that_dribbles_in(pipe: Ends) -> None:
    reader, writer = pipe
    for byte in b"\0\0\0\x03abc":
        assert reader.try_receive() is None
        writer.write(bytes([byte]))
    assert reader.try_receive() == b"abc"


def test_killing_a_blocked_reader_loses_no_message(pipe: Ends, spawn: Spawn) -> None:
    reader, writer = pipe
    child = spawn(receive_one, reader)
    child.wait_blocked("poll")
    child.kill()
    assert child.join() == -signal.SIGKILL
    writer.send(b"survives")
    assert reader.receive(timeout=0) == b"survives"


def test_a_write_wakes_a_blocked_reader_in_another_process(pipe: Ends, spawn: Spawn) -> None:
    reader, writer = pipe
    child = spawn(receive_one, reader)
    child.wait_blocked("poll")
    writer.send(b"awake")
    assert child.result() == b"awake"


def test_a_handler_runs_and_the_wait_goes_on_with_the_rest_of_its_time(pipe: Ends, spawn: Spawn) -> None:
    assert spawn(read_under_signals, *pipe).result() >= 0.3


def test_the_size_limit_of_messages(pipe: Ends) -> None:
    reader, writer = pipe
    assert reader.max_message_size == 1 << 28
    writer.max_message_size = 10
    with pytest.raises(MessageTooLargeError, match="max_message_size is 10"):
        writer.send(bytes(11))
    assert reader.available == 0
    writer.max_message_size = 20
    writer.send(b"x" * 20)
    reader.max_message_size = 10
    for _ in range(2):
        with pytest.raises(MessageTooLargeError, match="it has 20 bytes"):
            reader.receive()
    reader.max_message_size = 20
    assert reader.receive() == b"x" * 20
    for bad in (-1, 1 << 32):
        with pytest.raises(ValueError, match="max_message_size"):
            reader.max_message_size = bad


def test_a_lying_header_costs_no_memory(pipe: Ends) -> None:
    reader, writer = pipe
    reader.max_message_size = (1 << 32) - 1
    writer.write(b"\xff\xff\xff\xffx")
    with pytest.raises(TimeoutExpired):
        reader.receive(0)
    writer.close()
    with pytest.raises(PeerDiedError, match="1 of the 4294967295"):
        reader.receive()


def test_capacity(pipe: Ends) -> None:
    reader, writer = pipe
    assert writer.set_capacity(5000) == 8192 == reader.capacity
    assert reader.set_capacity(0) == 4096 == writer.capacity
    assert writer.set_capacity(65536) == 65536
    writer.write(bytes(20000))
    with pytest.raises(BusyError, match="read from it first"):
        writer.set_capacity(4096)
    for bad in (-1, 1 << 31):
        with pytest.raises(ValueError, match="size must be"):
            writer.set_capacity(bad)


def test_capacity_from_the_beginning() -> None:
    for packet in (False, True):
        reader, writer = Pipe.create(packet=packet, capacity=5000)
        with reader, writer:
            assert reader.capacity == writer.capacity == 8192
    with pytest.raises(ValueError, match="size must be"):
        Pipe.create(capacity=-1)


def test_capacity_is_in_pages_so_that_small_writes_apart_hold_less(pipe: Ends) -> None:
    reader, writer = pipe
    writer.set_capacity(2 * PIPE_BUF)
    writer.write(bytes(PIPE_BUF - 1))
    writer.write(bytes(2))  # does not fit into the rest of the page, and must not be split
    assert writer.try_write(bytes(PIPE_BUF)) == 0
    assert reader.available == PIPE_BUF + 1


def test_the_wrong_direction_is_refused_by_the_kernel_and_absent_from_the_classes(pipe: Ends) -> None:
    reader, writer = pipe
    assert not hasattr(reader, "write")
    assert not hasattr(writer, "read")
    with pytest.raises(OSError, match="Bad file"):
        os.write(reader.fileno(), b"x")
    with pytest.raises(OSError, match="Bad file"):
        os.read(writer.fileno(), 1)


def pipes_beyond_the_quota() -> tuple[int, int, str]:
    user = 20_000 + os.getpid() % 40_000  # a "nobody" may have pipes in other tests
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    largest, pages = limits().pipe_max_size, limits().pipe_user_pages_soft
    assert largest is not None
    assert pages is not None
    count = pages * PIPE_BUF // largest
    if not 0 < count < resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - 20:
        return 0, 0, ""
    made = [Pipe.create(capacity=largest) for _ in range(count)]
    late = Pipe.create()
    refusal = ""
    try:
        late[0].set_capacity(largest)
    except AccessError as error:
        refusal = str(error)
    for reader, writer in (*made, late):
        size = reader.capacity if writer.capacity == reader.capacity else 0
        reader.close()
        writer.close()
    return len(made), size, refusal


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user who has no other pipes")
def test_a_user_with_many_pages_in_pipes_gets_small_ones(spawn: Spawn) -> None:
    made, size, refusal = spawn(pipes_beyond_the_quota).result()
    if not made:
        pytest.skip("sysctl fs.pipe-user-pages-soft bounds nothing here, or more than descriptors do")
    assert size <= 2 * PIPE_BUF
    assert "fs.pipe-user-pages-soft" in refusal


def test_capacity_above_the_limit_names_the_limit(pipe: Ends) -> None:
    with open("/proc/sys/fs/pipe-max-size") as file:
        limit = int(file.read())
    with open("/proc/self/status") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff"))
    if effective >> 24 & 1:
        pytest.skip("CAP_SYS_RESOURCE lifts the limit")
    with pytest.raises(AccessError, match=f"fs.pipe-max-size is {limit}"):
        pipe[0].set_capacity(limit * 2)


def test_packets_keep_their_boundaries() -> None:
    reader, writer = Pipe.create(packet=True)
    with reader, writer:
        assert isinstance(reader, PacketReader)
        assert isinstance(writer, PacketWriter)
        assert reader.packet
        writer.send(b"one")
        writer.send(bytearray(b"two"))
        writer.write(b"three")
        assert reader.receive(0) == b"one"
        assert reader.read() == b"two"
        assert reader.try_receive() == b"three"
        assert reader.try_receive() is None
        writer.send(b"x" * PIPE_BUF)
        assert reader.receive(0) == b"x" * PIPE_BUF
        with pytest.raises(MessageTooLargeError, match="4096"):
            writer.send(bytes(PIPE_BUF + 1))
        with pytest.raises(ValueError, match="at least 1 byte"):
            writer.send(b"")
        writer.write(bytes(PIPE_BUF + 1))  # cut into packets
        assert [len(reader.receive(0)), len(reader.receive(0))] == [PIPE_BUF, 1]
        writer.close()
        with pytest.raises(EndOfStreamError):
            reader.receive()


def test_a_read_that_would_lose_the_rest_of_a_packet_is_refused() -> None:
    reader, writer = Pipe.create(packet=True)
    with reader, writer:
        writer.send(b"whole packet")
        with pytest.raises(ValueError, match="4096"):
            reader.read(5)
        with pytest.raises(ValueError, match="4096"):
            reader.readinto(bytearray(5))
        assert reader.receive(0) == b"whole packet"


def test_a_full_packet_pipe_has_room_in_packets() -> None:
    reader, writer = Pipe.create(packet=True)
    with reader, writer:
        count = 0
        while writer.try_send(b"x"):
            count += 1
        assert count == writer.capacity // PIPE_BUF
        with pytest.raises(TimeoutExpired):
            writer.send(b"x", timeout=0)


def test_a_real_program_reads_through_a_blocking_descriptor(pipe: Ends) -> None:
    reader, writer = pipe
    stdin = reader.blocking_descriptor()
    assert os.get_blocking(stdin)
    assert not os.get_inheritable(stdin)
    with subprocess.Popen(["wc", "-c"], stdin=stdin, stdout=subprocess.PIPE) as program:
        os.close(stdin)
        writer.write(bytes(200_000), timeout=20)
        assert not os.get_blocking(reader.fileno())  # the program's description is its own
        writer.close()
        assert program.stdout is not None
        assert program.stdout.read().split() == [b"200000"]


def test_a_real_program_writes_through_a_blocking_descriptor(pipe: Ends) -> None:
    reader, writer = pipe
    fill(writer)
    stdout = writer.blocking_descriptor()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=stdout) as program:
        os.close(stdout)
        writer.close()
        assert program.stdin is not None
        program.stdin.write(b"end")
        program.stdin.close()
        wait_blocked(program.pid, "write")  # a non-blocking one would have failed with EAGAIN
        stream = bytearray()
        while chunk := reader.read(timeout=20):
            stream += chunk
    assert program.returncode == 0
    assert bytes(stream) == bytes(65536) + b"end"


def test_a_blocking_descriptor_of_a_packet_pipe_makes_packets() -> None:
    reader, writer = Pipe.create(packet=True)
    with reader, writer:
        descriptor = writer.blocking_descriptor()
        assert os.get_blocking(descriptor)
        os.write(descriptor, b"one")
        os.write(descriptor, b"two")
        os.close(descriptor)
        assert [reader.receive(0), reader.receive(0)] == [b"one", b"two"]


def test_taking_over_a_blocking_descriptor_leaves_its_description_alone() -> None:
    reading, writing = os.pipe()
    other = os.dup(reading)
    with PipeReader.from_fd(reading) as reader, PipeWriter.from_fd(writing) as writer:
        assert os.get_blocking(other)
        writer.send(b"taken over")
        assert reader.receive(0) == b"taken over"
        assert not os.get_inheritable(reader.fileno())
    os.close(other)


def test_taking_over_what_is_no_such_end() -> None:
    reading, writing = os.pipe()
    with open(os.devnull) as file, pytest.raises(ValueError, match="must be a pipe"):
        PipeReader.from_fd(file.fileno())
    with pytest.raises(ValueError, match="reading end"):
        PipeReader.from_fd(writing)
    with pytest.raises(ValueError, match="writing end"):
        PipeWriter.from_fd(reading)
    with pytest.raises(ValueError, match=r"PipeWriter\.from_fd"):
        PacketWriter.from_fd(writing)
    flags = fcntl.fcntl(writing, fcntl.F_GETFL)
    fcntl.fcntl(writing, fcntl.F_SETFL, flags | os.O_DIRECT)
    with pytest.raises(ValueError, match=r"PacketWriter\.from_fd"):
        PipeWriter.from_fd(writing)
    with PacketWriter.from_fd(writing) as writer, PipeReader.from_fd(reading) as reader:
        writer.send(b"x")
        writer.send(b"y")
        assert reader.read() == b"x"
    with pytest.raises(OSError, match="fd 999999"):
        PipeReader.from_fd(999999)


def test_ends_travel_to_children_and_keep_their_kind(spawn: Spawn) -> None:
    reader, writer = Pipe.create(packet=True)
    with reader, writer:
        child = spawn(receive_one, reader)
        writer.send(b"packet")
        assert child.result() == b"packet"
    with pytest.raises(ClosedError):
        pickle.dumps(reader)


def test_an_end_is_not_pickled_for_nobody(pipe: Ends) -> None:
    with pytest.raises(TypeError, match="send_fds"):
        pickle.dumps(pipe[0])


def test_descriptors_are_close_on_exec(pipe: Ends) -> None:
    for end in pipe:
        assert not os.get_inheritable(end.fileno())
        check = f"import os; os.fstat({end.fileno()})"
        done = subprocess.run([sys.executable, "-c", check], close_fds=False, stderr=subprocess.DEVNULL, check=False)
        assert done.returncode == 1


def test_after_close(pipe: Ends) -> None:
    reader, writer = pipe
    for end in pipe:
        assert f"fd={end.fileno()}" in repr(end)
        end.close()
        end.close()
        assert end.closed
        assert "closed" in repr(end)
    calls = [
        reader.read, reader.receive, reader.try_read, reader.try_receive, reader.fileno, reader.blocking_descriptor,
        lambda: reader.available, lambda: reader.readinto(bytearray(4)), lambda: reader.capacity,
        lambda: writer.write(b"x"), lambda: writer.send(b"x"), lambda: writer.try_write(b"x"),
        lambda: writer.try_send(b"x"), lambda: writer.set_capacity(4096), writer.__enter__,
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ClosedError):
            call()


@pytest.mark.parametrize("verb", ["read", "receive"])
def test_close_in_another_thread_ends_a_wait(pipe: Ends, verb: str) -> None:
    reader, _ = pipe
    outcome: list[BaseException] = []

    def wait() -> None:
        try:
            getattr(reader, verb)()
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    wait_blocked(os.getpid(), "poll", tid=thread.native_id)
    reader.close()
    thread.join(10)
    assert [type(error) for error in outcome] == [ClosedError]


def test_close_ends_a_thread_that_waits_for_its_turn(pipe: Ends) -> None:
    reader, _ = pipe
    outcome: list[type] = []

    def wait() -> None:
        try:
            reader.receive()
        except ClosedError as error:
            outcome.append(type(error))

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_blocked(os.getpid(), "poll", "futex", tid=threads[0].native_id)
    assert reader.try_receive() is None  # another thread has the turn
    reader.close()
    for thread in threads:
        thread.join(10)
    assert outcome == [ClosedError] * 3


def test_threads_take_turns_with_large_messages(pipe: Ends) -> None:
    reader, writer = pipe
    count, size = 20, 100_000

    def send(letter: bytes) -> None:
        for _ in range(count):
            writer.send(letter * size)

    senders = [threading.Thread(target=send, args=(letter,)) for letter in (b"a", b"b", b"c")]
    got: list[bytes] = []

    def receive() -> None:
        got.extend(reader.receive() for _ in range(count))

    receivers = [threading.Thread(target=receive) for _ in senders]
    for thread in (*senders, *receivers):
        thread.start()
    for thread in (*senders, *receivers):
        thread.join()
    assert sorted(got) == sorted(letter * size for letter in (b"a", b"b", b"c") for _ in range(count))


def test_a_signal_handler_inside_its_own_receive_is_refused_and_not_hung(pipe: Ends) -> None:
    reader, writer = pipe
    outcome: list[type] = []

    def handler(*_: object) -> None:
        try:
            reader.receive()
        except BusyError as error:
            outcome.append(type(error))
        writer.send(b"from the handler")

    previous = signal.signal(signal.SIGUSR1, handler)

    def interrupt() -> None:
        wait_blocked(os.getpid(), "poll")
        os.kill(os.getpid(), signal.SIGUSR1)

    thread = threading.Thread(target=interrupt)
    try:
        thread.start()
        assert reader.receive(timeout=20) == b"from the handler"
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, previous)
    assert outcome == [BusyError]


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded.*:DeprecationWarning")
def test_a_child_forked_while_another_thread_waits_finds_the_turn_free(pipe: Ends) -> None:
    reader = pipe[0]
    outcome: list[type] = []

    def wait() -> None:
        try:
            reader.receive()
        except ClosedError as error:
            outcome.append(type(error))

    thread = threading.Thread(target=wait)
    thread.start()
    wait_blocked(os.getpid(), "poll", tid=thread.native_id)
    pid = os.fork()
    if not pid:
        try:
            reader.receive(timeout=0)
        except TimeoutExpired as error:
            os._exit(0 if "another thread" not in str(error) else 3)
        finally:
            os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    reader.close()
    thread.join()
    assert outcome == [ClosedError]


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded.*:DeprecationWarning")
def test_a_child_forked_while_another_thread_sends_leaves_the_rest_to_that(pipe: Ends) -> None:
    reader, writer = pipe
    big = os.urandom(300_000)
    thread = threading.Thread(target=writer.send, args=(big,))
    thread.start()
    wait_blocked(os.getpid(), "poll", tid=thread.native_id)
    pid = os.fork()
    if not pid:
        try:
            writer.flush(timeout=0)
        except TimeoutExpired:
            os._exit(3)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert reader.receive() == big
    thread.join()


def test_a_handler_that_raises_in_mid_message_loses_nothing(pipe: Ends) -> None:
    reader, writer = pipe
    big = os.urandom(300_000)

    def handler(*_: object) -> None:
        raise KeyError("from the handler")

    def interrupt() -> None:
        wait_blocked(os.getpid(), "poll")
        os.kill(os.getpid(), signal.SIGUSR1)

    previous = signal.signal(signal.SIGUSR1, handler)
    try:
        for call in (lambda: writer.send(big), lambda: reader.receive()):
            thread = threading.Thread(target=interrupt)
            thread.start()
            with pytest.raises(KeyError, match="from the handler"):
                call()
            thread.join()
    finally:
        signal.signal(signal.SIGUSR1, previous)
    thread = threading.Thread(target=writer.send, args=(b"next",))
    thread.start()
    assert reader.receive(timeout=20) == big
    assert reader.receive(timeout=20) == b"next"
    thread.join()


@pytest.mark.parametrize("verb", ["send", "flush", "receive"])
def test_a_handler_that_raises_as_a_turn_is_taken_leaves_it_to_others(pipe: Ends, verb: str) -> None:
    reader, writer = pipe
    writer.send(b"message")
    calls: dict[str, Callable[[], object]] = {
        "send": lambda: writer.send(b"not sent"),
        "flush": writer.flush,
        "receive": reader.receive,
    }

    def raise_behind_acquire(_frame: object, event: str, function: Any) -> None:
        if event == "c_return" and function.__name__ == "acquire":
            raise KeyError("from the handler")

    sys.setprofile(raise_behind_acquire)
    try:
        with pytest.raises(KeyError, match="from the handler"):
            calls[verb]()
    finally:
        sys.setprofile(None)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(reader.receive, 20).result() == b"message"
        pool.submit(writer.send, b"next", 20).result()
        assert pool.submit(reader.receive, 20).result() == b"next"


def test_closing_in_a_forked_child_leaves_the_parents_end_open(pipe: Ends) -> None:
    reader, writer = pipe
    pid = os.fork()
    if not pid:
        reader.close()
        writer.close()
        os._exit(0)
    os.waitpid(pid, 0)
    writer.send(b"still open")
    assert reader.receive(0) == b"still open"


def test_a_forgotten_end_warns_and_is_closed() -> None:
    ends = list(Pipe.create())
    fds = [end.fileno() for end in ends]
    with pytest.warns(ResourceWarning, match="unclosed <Pipe"):
        ends.clear()
    for fd in fds:
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(fd)


def no_descriptors_left() -> str:
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (os.dup(0) + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    try:
        Pipe.create()
    except LimitError as error:
        return str(error)
    return "no error"


def test_running_out_of_descriptors_names_the_limit(spawn: Spawn) -> None:
    assert "RLIMIT_NOFILE" in spawn(no_descriptors_left).result()


def read_until_interrupted(reader: PipeReader) -> float:
    with reader:
        try:
            reader.read()
        except KeyboardInterrupt:
            return time.monotonic()
    return 0.0


def test_ctrl_c_ends_a_wait(pipe: Ends, spawn: Spawn) -> None:
    child = spawn(read_until_interrupted, pipe[0])
    child.wait_blocked("poll")
    child.send_signal(signal.SIGINT)
    assert child.result() > 0


def write_to_nobody(writer: PipeWriter) -> int:
    with writer:
        try:
            writer.write(b"x")
        except BrokenPeerError as error:
            number = error.errno or 0
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        reached(f"errno {number}")
        writer.write(b"x")
    return 0


def test_sigpipe_is_ignored_until_a_program_restores_its_default_action(pipe: Ends, spawn: Spawn) -> None:
    reader, writer = pipe
    reader.close()
    child = spawn(write_to_nobody, writer)
    child.wait_reached(f"errno {errno.EPIPE}")
    assert child.join() == -signal.SIGPIPE


def test_a_program_we_start_gets_sigpipe_back_unless_told_otherwise(pipe: Ends) -> None:
    reader, writer = pipe
    stdout = writer.blocking_descriptor()
    reader.close()
    for restore, expected in ((True, -signal.SIGPIPE), (False, 1)):
        done = subprocess.run(
            ["cat", "/proc/self/status"], stdout=stdout, stderr=subprocess.DEVNULL, restore_signals=restore, check=False
        )
        assert done.returncode == expected
    os.close(stdout)


def test_reads_of_all_sizes_add_up(pipe: Ends, spawn: Spawn) -> None:
    reader, writer = pipe
    child = spawn(read_all, reader)
    total = sum(writer.write(bytes(size), timeout=20) for size in (1, 4095, 4096, 4097, 65536, 70001, 500_000))
    writer.close()
    assert child.result() == total


def test_readinto_takes_a_buffer_that_has_no_length() -> None:
    reader, writer = Pipe.create()
    with reader, writer:
        writer.write((42).to_bytes(4, sys.byteorder))
        number = ctypes.c_int32()
        assert reader.readinto(number, timeout=5) == 4
        assert number.value == 42
