"""Kill one side of a ring again and again, wherever it stands, while the other side checks all that it gets.

The director is a fresh interpreter with one thread. It forks its victims, which is cheap, and is itself the survivor
on the other side. A third of the victims die asleep in futex(2), a third amid large copies, a third in a hot loop on
a small ring whose records wrap around all the time. Half of them are stopped first, so that the place is seen where
they die; the others are killed as they run.
"""

from __future__ import annotations

import mmap
import os
import random
import signal
import struct
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ipckit.errors import EndOfStreamError, PeerDiedError, TimeoutExpired
from ipckit.ring import SpscRing
from ipckit.testing import wait_blocked

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 20.0  # seconds; longer means a hang
BATCH = 8
HEADER = struct.Struct("<QI")  # sequence number, checksum of the rest
NOISE = random.Random(0).randbytes(1 << 18)
CAPACITY = {"asleep": 4096, "hot": 1 << 14, "copying": 1 << 19}
FUTEX = {"x86_64": 202, "aarch64": 98}.get(os.uname().machine)


class Report(NamedTuple):
    """What a storm was."""

    kills: int
    messages: int
    places: dict[str, int]
    """Where victims died: role, way of working, and place."""


def bodies(lengths: range) -> list[tuple[bytes, int]]:
    """Made beforehand, so that a victim spends its time in the ring: bodies and their checksums."""
    parts = [NOISE[length % 4096 :][:length] for length in lengths]
    return [(part, zlib.crc32(part)) for part in parts]


SMALL = bodies(range(300))
BODIES = {"asleep": SMALL, "hot": SMALL, "copying": bodies(range(60_000, 210_000, 9973))}


def message_of(number: int, how: str) -> bytes:
    table = BODIES[how]
    body, checksum = table[number * 7919 % len(table)]
    return HEADER.pack(number, checksum) + body


def number_of(message: bytes, how: str) -> int:
    """The sequence number of a message that is whole."""
    number = HEADER.unpack_from(message)[0]
    assert message == message_of(number, how), f"message {number} is torn, or another's"
    return number


def checked_number_of(message: bytes, how: str) -> int:
    """The same, by the checksum that came along."""
    number, checksum = HEADER.unpack_from(message)
    assert zlib.crc32(memoryview(message)[HEADER.size :]) == checksum, f"message {number} is torn"
    return number_of(message, how)


class Board:
    """What a victim tells, in memory that survives it."""

    INSIDE, STARTED, DONE, DEATHS = range(4)

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._words = memoryview(self._memory).cast("Q")

    def __getitem__(self, word: int) -> int:
        return self._words[word]

    def __setitem__(self, word: int, value: int) -> None:
        self._words[word] = value

    def close(self) -> None:
        self._words.release()
        self._memory.close()


def produce(ring: SpscRing, board: Board, number: int, how: str, many: bool) -> None:
    """A victim: DONE is the number behind the last one whose send has returned."""
    count = BATCH if many and how != "copying" else 1
    while True:
        messages = [message_of(number + i, how) for i in range(count)]
        board[Board.INSIDE] = 1
        if many:
            ring.send_many(messages, timeout=PATIENCE)
        else:
            ring.send(messages[0], timeout=PATIENCE)
        board[Board.INSIDE] = 0
        number += count
        board[Board.DONE] = number
        board[Board.STARTED] = 1


def consume(ring: SpscRing, board: Board, how: str, many: bool) -> None:
    """A victim: DONE is the number behind the last one that it received and checked."""
    while True:
        board[Board.INSIDE] = 1
        messages = ring.receive_many(BATCH, timeout=PATIENCE) if many else [ring.receive(timeout=PATIENCE)]
        board[Board.INSIDE] = 0
        board[Board.STARTED] = 1
        numbers = [number_of(message, how) for message in messages]
        # What predecessors had received and not yet written down is gone with them: at most one batch each.
        lost = numbers[0] - board[Board.DONE]
        assert 0 <= lost <= BATCH * board[Board.DEATHS], f"{numbers[0]} after {board[Board.DONE]}"
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        board[Board.DONE] = numbers[-1] + 1
        board[Board.DEATHS] = 0


class Storm:
    """One director: one ring, one role that dies."""

    def __init__(self, role: str, how: str, seed: int) -> None:
        self.role = role
        self.how = how
        self.random = random.Random(seed)
        self.ring = SpscRing.create(capacity=CAPACITY[how])
        self.board = Board()
        self.number = 0  # the next to be received by us, or to be sent by us
        self.places: Counter[str] = Counter()

    def run(self, kills: int) -> None:
        for _ in range(kills):
            victim = self.start()
            self.accompany(victim)
            place = self.kill(victim)
            self.places[f"{self.role} {self.how}: {place}"] += 1
            self.settle()
        self.finish()

    def start(self) -> int:
        many = self.random.random() < 0.4
        self.board[Board.INSIDE] = self.board[Board.STARTED] = 0
        pid = os.fork()
        if pid:
            return pid
        status = 3
        try:
            if self.role == "producer":
                produce(self.ring, self.board, self.number, self.how, many)
            else:
                consume(self.ring, self.board, self.how, many)
        except BaseException as error:
            os.write(2, f"victim: {error!r}\n".encode())
        finally:
            os._exit(status)

    def accompany(self, victim: int) -> None:
        """Work with the victim until it is to die."""
        if self.how == "asleep":
            if self.role == "consumer":
                self.exchange(victim, self.random.randrange(3))
            wait_blocked(victim, "futex", timeout=PATIENCE)
            return
        self.exchange(victim, 1 + self.random.randrange(5 if self.how == "copying" else 300))
        end = time.perf_counter_ns() + self.random.randrange(40_000)
        while time.perf_counter_ns() < end:
            pass

    def exchange(self, victim: int, count: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while count:
            assert time.monotonic() < deadline, "no progress"
            had_started = self.board[Board.STARTED]  # before the ring is asked who is there
            try:
                count -= self.receive() if self.role == "producer" else self.send()
            except PeerDiedError:
                # That was the one before, as long as this one had not taken over.
                assert not had_started, "a living process was taken for dead"
            except TimeoutExpired:
                pass
            assert os.waitpid(victim, os.WNOHANG) == (0, 0), "the victim ended by itself"

    def receive(self) -> int:
        number = checked_number_of(self.ring.receive(timeout=0.05), self.how)
        assert number == self.number, f"{number} where {self.number} was expected"
        self.number += 1
        return 1

    def send(self) -> int:
        self.ring.send(message_of(self.number, self.how), timeout=0.05)
        self.number += 1
        return 1

    def kill(self, victim: int) -> str:
        stop = self.random.random() < 0.5
        if stop:
            os.kill(victim, signal.SIGSTOP)
            os.waitpid(victim, os.WUNTRACED)
        place = whereabouts(victim, inside=bool(self.board[Board.INSIDE]), stopped=stop)
        os.kill(victim, signal.SIGKILL)
        _, status = os.waitpid(victim, 0)
        assert os.WIFSIGNALED(status), f"the victim had ended by itself: {status:#x}"
        self.board[Board.DEATHS] += 1
        return place

    def settle(self) -> None:
        """The survivor finds all that was committed, and then that its peer is dead."""
        if self.role == "consumer":
            return  # what is in the ring is for the successor
        try:
            while True:
                self.drain_one()
        except (PeerDiedError, EndOfStreamError):
            pass
        except TimeoutExpired:
            # Nobody has ever been there: killed before its first call.
            assert self.number == 0
        assert self.number >= self.board[Board.DONE], "a message that was sent is lost"

    def drain_one(self) -> None:
        number = checked_number_of(self.ring.receive(timeout=0.2 if self.number == 0 else PATIENCE), self.how)
        assert number == self.number, f"{number} where {self.number} was expected"
        self.number += 1

    def finish(self) -> None:
        """Whoever survives goes on alone."""
        if self.role == "producer":
            self.ring.send(message_of(self.number, self.how), timeout=PATIENCE)
            self.receive()
        else:
            numbers = [checked_number_of(m, self.how) for m in iter(self.ring.try_receive, None)]
            if numbers:
                assert 0 <= numbers[0] - self.board[Board.DONE] <= BATCH * self.board[Board.DEATHS]
                assert numbers == list(range(numbers[0], self.number))
            assert self.ring.stat().used == 0

    def close(self) -> None:
        self.ring.close()
        self.board.close()


def whereabouts(pid: int, *, inside: bool, stopped: bool) -> str:
    """What a victim is at, from /proc/PID/syscall: asleep in futex, in the core's code, in Python."""
    words = Path(f"/proc/{pid}/syscall").read_text().split()
    around = "a call of the ring" if inside else "Python"
    if words[0] == "running":
        return f"running in {around}"
    if int(words[0]) == FUTEX:
        return f"asleep in {around}" if not stopped else f"stopped asleep in {around}"
    if int(words[0]) >= 0:
        return f"in system call {words[0]} of {around}"
    return f"stopped in {library_at(pid, int(words[-1], 16))} in {around}"


def library_at(pid: int, address: int) -> str:
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        low, high = (int(word, 16) for word in line.split()[0].split("-"))
        if low <= address < high:
            name = Path(line.split()[-1]).name
            if name.startswith(("_lane", "_native")):
                return "the core"
            return "libc" if name.startswith("libc") else "the interpreter"
    return "nowhere"


def in_the_ring(place: str) -> bool:
    """Whether a victim at that place was inside an operation of the ring."""
    return place.endswith("a call of the ring") and "the interpreter" not in place


def storm(kills: int, seed: int, progress: Callable[[str], None] | None = None) -> Report:
    """Run storms of both roles in all ways, *kills* in all."""
    kinds = [(role, how) for how in ("asleep", "hot", "copying") for role in ("producer", "consumer")]
    places: Counter[str] = Counter()
    messages = 0
    for index, (role, how) in enumerate(kinds):
        one = Storm(role, how, seed * 1000 + index)
        try:
            one.run(kills // len(kinds) + (index < kills % len(kinds)))
        finally:
            one.close()
        places.update(one.places)
        messages += one.number
    return Report(kills, messages, dict(places))
