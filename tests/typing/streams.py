"""A user's program under ``mypy --strict``: pipes, FIFOs, eventfds, Unix sockets. It is checked, and never run."""

from __future__ import annotations

from array import array
from pathlib import Path

from typing_extensions import assert_type

from ipckit import DuplexPipe, EventFd, Fifo, Pipe
from ipckit.duplex import DuplexMessages, DuplexStream
from ipckit.pipe import PIPE_BUF, PipeReader, PipeWriter
from ipckit.sockets import inet
from ipckit.sockets.unix import Credentials, Datagram, Listener, Received, SeqPacket, Stream, WithCredentials

reader, writer = Pipe.create()
assert_type(reader, PipeReader)
assert_type(writer, PipeWriter)
assert_type(PIPE_BUF, int)

with reader as entered:
    assert_type(entered, PipeReader)
    assert_type(entered.read(), bytes)
    assert_type(entered.read(10, timeout=1.5), bytes)
    assert_type(entered.try_read(), bytes | None)
    assert_type(entered.readinto(bytearray(10)), int)
    assert_type(entered.receive(timeout=None), bytes)
    assert_type(list(entered), list[bytes])
    assert_type(entered.closed, bool)
    assert_type(entered.fileno(), int)
    entered.write(b"")  # type: ignore[attr-defined]
    entered.read("10")  # type: ignore[arg-type]
    entered.read(timeout="1")  # type: ignore[arg-type]

for data in (b"x", bytearray(b"x"), memoryview(b"x"), array("i", [1])):
    assert_type(writer.write(data, timeout=1), int)
    writer.send(data)
assert_type(writer.try_write(b"x"), int)
assert_type(writer.try_send(b"x"), bool)
writer.send("text")  # type: ignore[arg-type]
writer.send([1, 2])  # type: ignore[arg-type]
writer.close(1)  # type: ignore[call-arg]

Pipe.create(packet="yes")  # type: ignore[arg-type]

with open("/tmp/file", "rb") as binary, open("/tmp/text") as text:
    assert_type(reader.splice_to(writer, 10, timeout=1), int)
    assert_type(reader.splice_to(1), int)
    assert_type(reader.tee_to(writer, timeout=1), int)
    assert_type(writer.splice_from(binary), int)
    assert_type(writer.vmsplice([b"x", bytearray(b"y")], timeout=1), int)
    assert_type(writer.sendfile(binary, 10, offset=5, timeout=1), int)
    assert_type(writer.unread, int)
    reader.splice_to("path")  # type: ignore[arg-type]
    writer.vmsplice([1])  # type: ignore[list-item]
    writer.sendfile(b"bytes")  # type: ignore[arg-type]

near, far = DuplexPipe.create()
assert_type(near, DuplexStream)
assert_type(near.read(), bytes)
assert_type(near.sendfile(3), int)
assert_type(DuplexPipe.create(messages=True), tuple[DuplexMessages, DuplexMessages])
assert_type(DuplexStream.from_fd(3), DuplexStream)
assert_type(far.blocking_descriptor(), int)
DuplexPipe.create(True)  # type: ignore[call-overload]
Pipe.create(capacity="big")  # type: ignore[arg-type]

fifo = Fifo.create(Path("/tmp/fifo"), mode=0o620, unlink_on_close=True)
assert_type(fifo, Fifo)
assert_type(Fifo.open("/tmp/fifo"), Fifo)
assert_type(Fifo.open_or_create("/tmp/fifo", mode=0o600), Fifo)
assert_type(fifo.open_reader(), PipeReader)
assert_type(fifo.open_writer(timeout=1), PipeWriter)
Fifo.open(b"/tmp/fifo")  # type: ignore[arg-type]


class Counter(EventFd):
    """Constructors return the subclass."""


event = Counter.create(1, semaphore=True)
assert_type(event, Counter)
assert_type(event.read(), int)
assert_type(event.try_read(), int | None)
event.write(2, timeout=0)
event.write("2")  # type: ignore[arg-type]

listener = Stream.listen("/tmp/socket")
assert_type(listener, Listener[Stream])
assert_type(listener.accept(timeout=1), Stream)
assert_type(listener.try_accept(), Stream | None)
assert_type(SeqPacket.listen(None).accept(), SeqPacket)

client = Stream.connect("/tmp/socket", timeout=1)
assert_type(client.receive_fds(), tuple[bytes, list[int]])
client.send_fds(b"x", [0, event])
assert_type(client.peer_credentials, Credentials)
assert_type(client.peer_credentials.pid, int)
client.send_fds(b"x", ["0"])  # type: ignore[list-item]

one, other = Datagram.pair()
assert_type(one, Datagram)
assert_type(other.receive_from(), Received)
assert_type(other.receive_from().address, str | bytes | None)
assert_type(other.peek(), bytes)
assert_type(other.peek_size(timeout=1), int)
other.pass_credentials = True
assert_type(other.receive_with_credentials(), WithCredentials)
assert_type(other.receive_with_credentials().credentials.uid, int)
other.send_with_credentials(b"x", Credentials(1, 2, 3), timeout=1)
other.send_with_credentials(b"x", 1)  # type: ignore[arg-type]
assert_type(client.peer_pidfd(), int)
assert_type(client.peek(10, timeout=1), bytes)

tcp_listener = inet.Stream.listen(("127.0.0.1", 0), backlog=5, reuse_port=True, dual_stack=False)
assert_type(tcp_listener, inet.Listener[inet.Stream])
assert_type(tcp_listener.accept(), inet.Stream)
assert_type(tcp_listener.address, inet.Address)
tcp = inet.Stream.connect(("localhost", 80), timeout=1, source=("127.0.0.1", 0), no_delay=False)
assert_type(tcp, inet.Stream)
assert_type(tcp.keep_alive, inet.KeepAlive | None)
tcp.keep_alive = inet.KeepAlive(idle=30)
tcp.keep_alive = 30  # type: ignore[assignment]
assert_type(tcp.no_delay, bool)
assert_type(tcp.receive(timeout=1), bytes)
inet.Stream.connect("localhost:80")  # type: ignore[arg-type]
inet.Stream.connect(("localhost", "80"))  # type: ignore[arg-type]

udp = inet.Datagram.bind(("::", 0), dual_stack=True)
assert_type(udp.receive_from(), inet.Received)
udp.send_to(b"x", udp.receive_from().address, timeout=1)
assert_type(inet.Datagram.connect(("127.0.0.1", 9)), inet.Datagram)
