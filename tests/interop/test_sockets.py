"""Sockets with programs that are not ours: socat, nc, a C program on plain libc, Python's own socket module."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.sockets import inet, unix
from tests.primitives.loopback import HOSTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.interop.conftest import Program

    Start = Callable[..., Program]

TEXT = bytes(range(256)) * 100  # more than one read of most programs, and less than fills a socket


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "s")


def read_to_end(stream: unix.Stream | inet.Stream) -> bytes:
    parts = []
    while part := stream.read(timeout=20):
        parts.append(part)
    return b"".join(parts)


def give_and_take(stream: unix.Stream | inet.Stream, program: Program) -> None:
    """The program sends what it is given, ends, and prints what we answered."""
    stream.write(TEXT[::-1], timeout=20)
    stream.shutdown()
    assert program.finish(TEXT) == TEXT[::-1]
    assert read_to_end(stream) == TEXT


@pytest.mark.parametrize("place", ["path", "abstract"])
def test_socat_connects_to_our_listener(place: str, path: str, start: Start) -> None:
    with unix.Stream.listen(path if place == "path" else f"\0{path}") as listener:
        word = f"UNIX-CONNECT:{path}" if place == "path" else f"ABSTRACT-CONNECT:{path}"
        program = start("socat", "-t", "20", "-", word)
        with listener.accept(timeout=20) as stream:
            assert stream.peer_credentials.pid == program.pid
            give_and_take(stream, program)


@pytest.mark.parametrize("place", ["path", "abstract"])
def test_we_connect_to_socats_listener(place: str, path: str, start: Start) -> None:
    word = f"UNIX-LISTEN:{path}" if place == "path" else f"ABSTRACT-LISTEN:{path}"
    program = start("socat", "-t", "20", "-", word)
    program.wait_blocked("accept", "accept4", "poll", "ppoll", "select", "pselect6")
    with unix.Stream.connect(path if place == "path" else f"\0{path}", timeout=20) as stream:
        give_and_take(stream, program)


def test_packets_with_socat(path: str, start: Start) -> None:
    with unix.SeqPacket.listen(path) as listener:
        program = start("socat", "-t", "20", "-", f"UNIX-CONNECT:{path},type={int(socket.SOCK_SEQPACKET)}")
        with listener.accept(timeout=20) as packets:
            packets.send(b"one ")
            packets.send(b"two")
            packets.shutdown()
            assert program.finish(b"from socat") == b"one two"
            assert list(packets) == [b"from socat"]


@pytest.mark.parametrize("place", ["path", "abstract"])
def test_datagrams_from_socat(place: str, path: str, start: Start) -> None:
    with unix.Datagram.bind(path if place == "path" else f"\0{path}") as server:
        server.pass_credentials = True
        word = "UNIX-SENDTO" if place == "path" else "ABSTRACT-SENDTO"
        program = start("socat", "-u", "-", f"{word}:{path}")
        assert program.finish(b"a message") == b""
        data, credentials, _ = server.receive_with_credentials(timeout=20)
        assert data == b"a message"
        assert credentials == (program.pid, os.geteuid(), os.getegid())


@pytest.mark.parametrize("place", ["path", "abstract"])
def test_datagrams_to_socat_and_back(place: str, path: str, start: Start) -> None:
    """socat echoes each message to its sender's address."""
    word = "UNIX-RECVFROM" if place == "path" else "ABSTRACT-RECVFROM"
    program = start("socat", "-t", "0.1", f"{word}:{path}", "PIPE")
    program.wait_blocked("recvmsg", "recvfrom", "poll", "ppoll", "select", "pselect6")
    with unix.Datagram.bind(None) as sock:
        sock.send_to(b"echo this", path if place == "path" else f"\0{path}", timeout=20)
        assert sock.receive(timeout=20) == b"echo this"
    program.finish()


@pytest.mark.parametrize("host", HOSTS)
def test_tcp_with_socat(host: str, start: Start) -> None:
    family, written = (4, host) if host == "127.0.0.1" else (6, f"[{host}]")
    with inet.Stream.listen((host, 0)) as listener:
        port = listener.address[1]
        program = start("socat", "-t", "20", "-", f"TCP{family}:{written}:{port}")
        with listener.accept(timeout=20) as stream:
            give_and_take(stream, program)
    # SO_REUSEADDR on both sides lets the two have the port one after the other.
    program = start("socat", "-t", "20", "-", f"TCP{family}-LISTEN:{port},bind={written},reuseaddr")
    program.wait_blocked("accept", "accept4", "poll", "ppoll", "select", "pselect6")
    with inet.Stream.connect((host, port), timeout=20) as stream:
        give_and_take(stream, program)


@pytest.mark.parametrize("host", HOSTS)
def test_udp_with_socat(host: str, start: Start) -> None:
    family, written = (4, host) if host == "127.0.0.1" else (6, f"[{host}]")
    with inet.Datagram.bind((host, 0)) as server:
        program = start("socat", "-t", "20", "-", f"UDP{family}:{written}:{server.address[1]}")
        program.process.stdin.write(b"question")
        program.process.stdin.flush()
        data, address = server.receive_from(timeout=20)
        assert data == b"question"
        server.send_to(b"answer\n", address)
        assert program.line() == b"answer"


def test_nc_over_a_unix_socket(path: str, start: Start) -> None:
    with unix.Stream.listen(path) as listener:
        program = start("nc", "-U", "-N", path, package="netcat-openbsd")
        with listener.accept(timeout=20) as stream:
            give_and_take(stream, program)


KINDS: dict[str, Any] = {"stream": unix.Stream, "seqpacket": unix.SeqPacket, "datagram": unix.Datagram}


@pytest.mark.parametrize("kind", KINDS)
def test_descriptors_from_a_c_program(
    kind: str, path: str, tmp_path: Path, start: Start, build: Callable[[str], Path]
) -> None:
    files = [tmp_path / f"file{number}" for number in range(3)]
    for file in files:
        file.write_text(f"content of {file.name}")
    if kind == "datagram":
        with unix.Datagram.bind(path) as server:
            start(build("scm_rights"), "send", kind, path, *files).finish()
            check_received(server, files)
    else:
        with KINDS[kind].listen(path) as listener:
            program = start(build("scm_rights"), "send", kind, path, *files)
            with listener.accept(timeout=20) as server:
                check_received(server, files)
            program.finish()


def check_received(server: unix.Stream | unix.SeqPacket | unix.Datagram, files: list[Path]) -> None:
    data, fds = server.receive_fds(max_fds=3, timeout=20)
    assert data == b"3"
    assert len(fds) == 3
    for fd, file in zip(fds, files, strict=True):
        with open(fd, encoding="ascii") as content:
            assert content.read() == f"content of {file.name}"


@pytest.mark.parametrize("kind", KINDS)
def test_descriptors_to_a_c_program(
    kind: str, path: str, tmp_path: Path, start: Start, build: Callable[[str], Path]
) -> None:
    (tmp_path / "file").write_text("read through a passed descriptor")
    reading, writing = os.pipe()
    os.write(writing, b"and a pipe")
    program_file = build("scm_rights")
    with open(tmp_path / "file", "rb") as file, open(reading, "rb") as pipe:
        os.close(writing)
        if kind == "datagram":
            with unix.Datagram.bind(path) as server:
                program = start(program_file, "receive", kind, path)
                _, address = server.receive_from(timeout=20)
                assert isinstance(address, bytes)
                server.socket.connect(address)
                server.send_fds(b"two", [file, pipe])
                assert program.finish() == b"two\nread through a passed descriptor\nand a pipe\n"
            return
        with KINDS[kind].listen(path) as listener:
            program = start(program_file, "receive", kind, path)
            with listener.accept(timeout=20) as server:
                assert server.receive_fds(5, 0, timeout=20) == (b"ready", [])
                server.send_fds(b"two", [file, pipe])
                assert program.finish() == b"two\nread through a passed descriptor\nand a pipe\n"


def test_pythons_own_sockets_are_peers(path: str) -> None:
    with unix.Stream.listen(path) as listener, socket.socket(socket.AF_UNIX) as plain:
        plain.connect(path)
        with listener.accept(timeout=20) as stream, open(os.devnull, "rb") as file:
            socket.send_fds(plain, [b"x"], [file.fileno()])
            data, fds = stream.receive_fds(timeout=20)
            assert data == b"x"
            assert os.path.sameopenfile(fds[0], file.fileno())
            stream.send_fds(b"y", fds)
            data, more, _, _ = socket.recv_fds(plain, 10, 4)
            assert data == b"y"
            assert os.path.sameopenfile(more[0], file.fileno())
            for fd in (*fds, *more):
                os.close(fd)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        inet.Stream.connect(server.getsockname(), timeout=20) as stream,
    ):
        plain, _ = server.accept()
        with plain, plain.makefile("rwb") as lines:
            stream.write(b"a line\n")
            assert lines.readline() == b"a line\n"
            lines.write(b"\0\0\0\x05hello")
            lines.flush()
            assert stream.receive(timeout=20) == b"hello"
