"""What keeps the messages that come from a pipe or a socket, compiled: what is not to be seen from outside."""

from __future__ import annotations

import os
import signal

from ipckit._lane import ReadingLane

LENGTH = 1 << 26


def test_signal_handlers_run_amid_a_message_of_which_there_is_always_more() -> None:
    seen: list[str] = []
    fd = os.memfd_create("message")  # one long hole behind the header: nobody reads faster than there is more
    previous = signal.signal(signal.SIGALRM, lambda *_: seen.append(repr(lane)))
    try:
        os.write(fd, LENGTH.to_bytes(4, "big"))
        os.truncate(fd, 4 + LENGTH)
        os.lseek(fd, 0, os.SEEK_SET)
        lane = ReadingLane(fd, False)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        message = lane.receive(LENGTH)
        signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        os.close(fd)
    assert isinstance(message, bytes)
    assert len(message) == LENGTH
    assert any(0 < int(part.split()[0]) < LENGTH for part in seen if part.endswith("of a message"))
