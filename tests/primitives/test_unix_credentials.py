"""Who is on the other side, and who sent a message: credentials, pidfd, and what a socket lets pass."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import select
import socket
from typing import TYPE_CHECKING

import pytest

from ipckit import features
from ipckit.errors import (
    AccessError,
    BrokenPeerError,
    ClosedError,
    MessageTooLargeError,
    NoProcessError,
    SyscallError,
    TimeoutExpired,
    UnsupportedError,
)
from ipckit.sockets import _unix
from ipckit.sockets.unix import Credentials, Datagram, SeqPacket, Stream, WithCredentials
from ipckit.testing import pause
from tests.nobody import NOBODY, become_nobody

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ipckit.testing import Spawn

AnySocket = Stream | SeqPacket | Datagram
Pair = tuple[AnySocket, AnySocket]


@pytest.fixture(params=[Stream, SeqPacket, Datagram])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    one, other = request.param.pair()
    with one, other:
        yield one, other


def me() -> Credentials:
    return Credentials(os.getpid(), os.geteuid(), os.getegid())


def unknown() -> Credentials:
    return Credentials(0, NOBODY, NOBODY)


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def send_as_child(sock: AnySocket, path: str | None) -> Credentials:
    with sock:
        if path is None:
            sock.send_fds(b"plain", [])
            sock.send_with_credentials(b"explicit")
        else:
            assert isinstance(sock, Datagram)
            sock.send_to(b"plain", path)
        return me()


def connect_and_hold(path: str) -> None:
    with Stream.connect(path, timeout=20):
        pause("connected")


def forge(sock: AnySocket) -> list[str]:
    become_nobody()
    mine = me()
    outcomes = []
    with sock:
        for forged in (mine._replace(pid=1), mine._replace(uid=mine.uid + 1), mine._replace(gid=mine.gid + 1), mine):
            try:
                sock.send_with_credentials(b"x", forged, timeout=5)
                outcomes.append("sent")
            except AccessError as error:
                outcomes.append(errno.errorcode[error.errno or 0])
    return outcomes


def test_each_message_has_its_own_senders_credentials(pair: Pair, spawn: Spawn) -> None:
    one, other = pair
    assert not other.pass_credentials
    other.pass_credentials = True
    assert other.pass_credentials
    one.send_fds(b"mine", [])
    child = spawn(send_as_child, one, None)
    theirs = child.result()
    assert theirs.pid != os.getpid()
    one.send_with_credentials(b"again")
    # A stream merges what is of one sender, and never what is of two.
    got: list[tuple[bytes, Credentials]] = []
    while b"".join(data for data, _ in got) != b"mineplainexplicitagain":
        data, credentials, address = other.receive_with_credentials(timeout=5)
        assert address is None
        got.append((data, credentials))
    assert got[0] == (b"mine", me())
    assert got[-1] == (b"again", me())
    assert b"".join(data for data, credentials in got if credentials == theirs) == b"plainexplicit"
    other.pass_credentials = False
    assert not other.pass_credentials


def test_a_receiver_has_to_ask_before_the_message_is_sent(pair: Pair) -> None:
    one, other = pair
    with pytest.raises(ValueError, match="pass_credentials must be set"):
        other.receive_with_credentials()
    one.send_fds(b"early", [])
    other.pass_credentials = True
    assert other.receive_with_credentials() == WithCredentials(b"early", unknown(), None)
    for timeout in (0, 0.01):
        with pytest.raises(TimeoutExpired):
            other.receive_with_credentials(timeout=timeout)
    with pytest.raises(ValueError, match="at least 1"):
        other.receive_with_credentials(0)
    with pytest.raises(ValueError, match="at least 1 byte"):
        one.send_with_credentials(b"")


def test_explicit_credentials_need_nobody_to_ask_beforehand(pair: Pair) -> None:
    one, other = pair
    one.send_with_credentials(b"explicit")
    other.pass_credentials = True
    assert other.receive_with_credentials().credentials == me()
    other.pass_credentials = False
    one.send_with_credentials(b"unseen")
    assert other.receive_fds(10, 0) == (b"unseen", [])


def test_forged_credentials_are_refused(pair: Pair, spawn: Spawn) -> None:
    one, other = pair
    other.pass_credentials = True
    assert spawn(forge, one).result() == ["EPERM", "EPERM", "EPERM", "sent"]
    data, credentials, _ = other.receive_with_credentials(timeout=5)
    assert data == b"x"
    assert credentials.uid == (os.geteuid() or NOBODY)


def test_the_end_has_no_sender(pair: Pair) -> None:
    one, other = pair
    other.pass_credentials = True
    one.close()
    if isinstance(other, Datagram):
        assert other.try_receive() is None
    else:
        assert other.receive_with_credentials() == WithCredentials(b"", unknown(), None)
    with pytest.raises(BrokenPeerError):
        other.send_with_credentials(b"x")


def test_a_datagram_has_an_address_to_answer_to(tmp_path: Path, spawn: Spawn) -> None:
    path = str(tmp_path / "s")
    with Datagram.bind(path) as server, Datagram.bind(None) as client:
        server.pass_credentials = True
        child = spawn(send_as_child, client, path)
        theirs = child.result()
        data, credentials, address = server.receive_with_credentials(timeout=5)
        assert (data, credentials) == (b"plain", theirs)
        assert address == client.getsockname()
        assert address is not None
        server.send_to(b"answer", address)
        assert client.receive(timeout=5) == b"answer"


def test_descriptors_and_credentials_in_one_message_in_any_order(pair: Pair) -> None:
    one, other = pair
    other.pass_credentials = True
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1]))
    credentials = (socket.SOL_SOCKET, socket.SCM_CREDENTIALS, _unix.UCRED.pack(*me()))
    for control in ([rights, credentials], [credentials, rights]):
        one.socket.sendmsg([b"both"], control)
        data, fds = other.receive_fds(10, 2)
        assert data == b"both"
        assert len(fds) == 2
        for fd in fds:
            os.close(fd)


def test_descriptors_where_only_credentials_are_wanted_are_closed(pair: Pair) -> None:
    one, other = pair
    other.pass_credentials = True
    before = open_fds()
    for count in (1, 3):
        one.send_fds(b"x", [0] * count)
        with pytest.raises(MessageTooLargeError, match="max_fds=0"):
            other.receive_with_credentials()
    assert open_fds() == before


@pytest.mark.parametrize("kind", [SeqPacket, Datagram])
def test_a_message_longer_than_allowed(kind: type[SeqPacket | Datagram]) -> None:
    one, other = kind.pair()
    with one, other:
        other.pass_credentials = True
        one.send(b"12345")
        with pytest.raises(MessageTooLargeError, match="size=4"):
            other.receive_with_credentials(4)


def passes_rights() -> bool:
    one, other = Stream.pair()
    with one, other:
        try:
            other.pass_rights = False
        except UnsupportedError:
            return False
    return True


def test_a_socket_that_takes_no_descriptors_tells_their_sender(pair: Pair) -> None:
    one, other = pair
    assert other.pass_rights
    other.pass_rights = True
    if not passes_rights():
        with pytest.raises(UnsupportedError, match=r"Linux 6\.16"):
            other.pass_rights = False
        pytest.skip("SO_PASSRIGHTS needs Linux 6.16")
    other.pass_rights = False
    assert not other.pass_rights
    with pytest.raises(AccessError):
        one.send_fds(b"x", [0])
    one.send_fds(b"none", [])
    assert other.receive_fds() == (b"none", [])
    other.close()
    for use in (lambda: other.pass_rights, lambda: other.pass_credentials):
        with pytest.raises(ClosedError):
            use()


def test_peer_credentials_are_those_of_connect_and_listen(tmp_path: Path, spawn: Spawn) -> None:
    path = str(tmp_path / "s")
    with Stream.listen(path) as listener:
        child = spawn(connect_and_hold, path)
        with listener.accept(timeout=20) as server:
            child.wait_reached("connected")
            assert server.peer_credentials == Credentials(child.pid, os.geteuid(), os.getegid())
            pid = os.fork()
            if not pid:  # whoever holds the connection now does not matter
                os._exit(0 if server.peer_credentials.pid == child.pid else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            child.resume("connected")
            child.join()
            assert server.peer_credentials.pid == child.pid


def test_the_peers_pidfd_tells_its_end(tmp_path: Path, spawn: Spawn) -> None:
    path = str(tmp_path / "s")
    with Stream.listen(path) as listener:
        child = spawn(connect_and_hold, path)
        with listener.accept(timeout=20) as server:
            child.wait_reached("connected")
            fd = server.peer_pidfd()
            try:
                with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as info:
                    assert f"Pid:\t{child.pid}\n" in info.read()
                assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
                poller = select.poll()
                poller.register(fd, select.POLLIN)
                assert not poller.poll(0)
                child.kill()
                child.join()
                assert poller.poll(5000)
            finally:
                os.close(fd)
            try:
                os.close(server.peer_pidfd())  # from Linux 6.16 on the kernel keeps descriptors of the dead
            except NoProcessError:
                pass


def test_a_pidfd_where_the_kernel_has_none_of_the_peer(
    monkeypatch: pytest.MonkeyPatch, spawn: Spawn, tmp_path: Path
) -> None:
    monkeypatch.setattr(_unix, "SO_PEERPIDFD", 9999)  # what an older kernel answers to the real one
    one, other = Stream.pair()
    with one, other:
        fd = one.peer_pidfd()
        with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as info:
            assert f"Pid:\t{os.getpid()}\n" in info.read()
        os.close(fd)
    path = str(tmp_path / "s")
    with Stream.listen(path) as listener:
        child = spawn(connect_and_hold, path)
        with listener.accept(timeout=20) as server:
            child.wait_reached("connected")
            child.kill()
            child.join()
            with pytest.raises(NoProcessError, match=f"pid {child.pid}"):
                server.peer_pidfd()
    monkeypatch.delattr(os, "pidfd_open")
    one, other = Stream.pair()
    with one, other, pytest.raises(UnsupportedError):
        one.peer_pidfd()


def test_nobody_on_the_other_side() -> None:
    with Datagram.create() as alone:
        for use in (alone.peer_pidfd, lambda: alone.peer_credentials):
            with pytest.raises(BrokenPeerError):
                use()
    with pytest.raises(ClosedError):
        alone.peer_pidfd()


def test_the_probe_agrees_with_the_kernel() -> None:
    one, other = socket.socketpair()
    with one, other:
        if features.has_peer_pidfd():
            os.close(one.getsockopt(socket.SOL_SOCKET, features.SO_PEERPIDFD))
        else:
            with pytest.raises(OSError, match="not available"):
                one.getsockopt(socket.SOL_SOCKET, features.SO_PEERPIDFD)


def test_options_of_a_descriptor_closed_behind_our_back() -> None:
    one, other = Stream.pair()
    other.close()
    os.close(one.fileno())
    with pytest.raises(SyscallError) as caught:
        one.pass_credentials = True
    assert caught.value.errno == errno.EBADF
    with pytest.raises(SyscallError, match="close"):
        one.close()
