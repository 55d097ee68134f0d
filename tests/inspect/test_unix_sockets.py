"""Unix sockets as they are found."""

from __future__ import annotations

import os
import socket
import tempfile
from contextlib import ExitStack

import pytest

from ipckit import inspect
from ipckit.errors import BusyError, NotFoundError
from ipckit.inspect._processes.scan import Scan
from ipckit.inspect._sockets import sock_diag
from ipckit.inspect._sockets import table as socket_table
from ipckit.inspect._sockets.net_unix import listed
from ipckit.inspect._sockets.sock_diag import ESTABLISHED, LISTEN
from ipckit.inspect.unix_sockets import absent, collect
from ipckit.testing import pause
from tests.inspect.elsewhere import CLONE_NEWNS, enter, mount, tell, told_by
from tests.nobody import WAS_ROOT, become_nobody

ABSTRACT = f"test-unix-{os.getpid()}"
CLONE_NEWNET = 0x40000000
STREAM, DGRAM, SEQPACKET = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET


@pytest.fixture
def made():
    """Makes Unix sockets, closed at the end."""
    with ExitStack() as stack:

        def make(type=STREAM, *, bound=None, listen=None, to=None):
            one = stack.enter_context(socket.socket(socket.AF_UNIX, type))
            if bound is not None:
                one.bind(bound)
            if listen is not None:
                one.listen(listen)
            if to is not None:
                one.connect(to)
            return one

        make.keep = stack.enter_context
        yield make


@pytest.fixture
def diag():
    try:
        next(sock_diag.described(0), None)
    except OSError as error:
        pytest.skip(f"sock_diag(7) is not to be had here: {error}")


def number(one):
    return os.fstat(one.fileno()).st_ino


def records(*sockets):
    """Their records, in the order of the arguments."""
    found = {record.inode: record for record in inspect.objects(["unix"])}
    return [found[number(one)] for one in sockets]


def test_listeners_clients_and_connections(made, tmp_path, diag):
    path = str(tmp_path / "s")
    listener = made(bound=path, listen=5)
    os.chmod(path, 0o640)
    client = made(to=path)
    accepted = made.keep(listener.accept()[0])
    accepted.send(b"12345")
    waiting = made(to=path)
    it, to, of, yet = records(listener, client, accepted, waiting)
    assert (it.address, it.aliases) == (f"unix:{path}", (f"unix:[{number(listener)}]",))
    assert (it.type, it.state, it.bound, it.reachable) == ("stream", "listening", path, True)
    assert (it.mode, it.uid, it.gid) == (0o640, os.geteuid(), os.stat(path).st_gid)
    assert (it.backlog, it.backlog_limit, it.clients) == (1, 5, (yet.address,))
    assert it.use == "stream, listening, 1 of 5 wait to be accepted"
    assert (it.pids, it.verdict.state) == ((os.getpid(),), "in use")
    assert (to.address, to.state, to.bound, to.to_read) == (f"unix:[{number(client)}]", "connected", None, 5)
    assert to.peer == (of.address, path, (os.getpid(),))
    assert to.use == f"stream, connected to {path} ({os.getpid()}), 5 bytes to read"
    assert (of.address, of.state, of.bound) == (f"unix:[{number(accepted)}]", "connected", path)
    assert of.peer == (to.address, None, (os.getpid(),))
    assert of.unread > 0
    assert (yet.state, yet.peer) == ("waiting", (it.address, path, (os.getpid(),)))
    assert yet.use == f"stream, waiting for {path} ({os.getpid()})"
    for address in (f"unix:{path}", f"unix:{tmp_path}/../{tmp_path.name}/s", it.aliases[0]):
        assert inspect.find(address).inode == it.inode


def test_a_connection_whose_listener_is_gone_keeps_its_inode_as_address(made, tmp_path, diag):
    path, own = str(tmp_path / "s"), str(tmp_path / "client")
    listener = made(bound=path, listen=5)
    client = made(bound=own, to=path)
    accepted, left = (made.keep(listener.accept()[0]) for _ in (client, made(to=path)))
    to, of = records(client, accepted)
    assert (to.address, of.address) == (f"unix:{own}", f"unix:[{number(accepted)}]")
    assert of.peer.address == f"unix:{own}"
    listener.close()
    (half,) = records(left)
    assert (half.address, half.bound) == (f"unix:[{number(left)}]", path)
    client.close()
    (alone,) = records(accepted)
    assert (alone.state, alone.peer, alone.address) == ("disconnected", None, of.address)


def test_the_types_and_what_has_no_name(made, diag):
    server = made(DGRAM, bound=f"\0{ABSTRACT}\0d")
    sender = made(DGRAM, to=f"\0{ABSTRACT}\0d")
    sender.send(b"abc")
    packets = made(SEQPACKET, bound=f"\0{ABSTRACT}", listen=1)
    one, other = map(made.keep, socket.socketpair())
    alone = made()
    found = records(server, sender, packets, one, other, alone)
    assert [(record.type, record.state) for record in found] == [
        ("dgram", "bound"),
        ("dgram", "connected"),
        ("seqpacket", "listening"),
        ("stream", "connected"),
        ("stream", "connected"),
        ("stream", "unconnected"),
    ]
    assert found[0].address == f"unix:@{ABSTRACT}\\x00d"
    assert (found[0].to_read, found[0].reachable) == (3, None)
    assert found[1].peer == (found[0].address, found[0].bound, (os.getpid(),))
    assert found[2].address == f"unix:@{ABSTRACT}"
    assert inspect.find(found[2].address).inode == found[2].inode
    assert [found[3].peer.address, found[4].peer.address] == [found[4].address, found[3].address]
    assert found[5].peer is None


def test_who_has_it(spawn, made, tmp_path, diag):
    path = str(tmp_path / "s")
    child = spawn(listen, path)
    child.wait_reached("listening")
    client = made(to=path)
    it, to = records_by_address(f"unix:{path}", f"unix:[{number(client)}]")
    assert (it.pids, to.peer.pids, to.state) == ((child.pid,), (child.pid,), "waiting")
    child.kill()
    child.join()
    (end,) = records(client)
    assert (end.state, end.peer) == ("disconnected", None)
    left = inspect.find(f"unix:{path}")
    assert (left.state, left.type, left.use, left.pids) == ("left", None, "socket file that nobody is bound to", ())
    assert left.verdict.state in {"unused", "unknown"}
    os.unlink(path)
    with pytest.raises(NotFoundError):
        inspect.find(f"unix:{path}")
    (tmp_path / "file").touch()
    assert absent(str(tmp_path / "file"), Scan()) is None
    assert absent(f"@{ABSTRACT}", Scan()) is None


def listen(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path)
        one.listen()
        pause("listening")


def records_by_address(*addresses):
    return [*inspect.find_all(addresses).values()]


def test_paths_that_do_not_lead_there(made, tmp_path, monkeypatch, diag):
    path = str(tmp_path / "s")
    removed = made(bound=path, listen=1)
    os.unlink(path)
    covering = made(bound=path, listen=1)
    monkeypatch.chdir(tmp_path)
    relative = made(DGRAM, bound="@here")
    gone, there, somewhere = records(removed, covering, relative)
    assert (gone.address, gone.bound, gone.reachable) == (f"unix:[{number(removed)}]", path, False)
    assert gone.mode is None
    assert "nobody can connect by it" in gone.verdict.reason
    assert (there.address, there.reachable) == (f"unix:{path}", True)
    assert (somewhere.address, somewhere.bound) == (f"unix:[{number(relative)}]", "./@here")
    assert somewhere.reachable is None


def elsewhere_listening(told):
    if reason := enter(CLONE_NEWNS) or mount("none", "/mnt", "tmpfs"):
        tell(told, reason)
        return
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(f"/mnt/{ABSTRACT}")
        one.listen()
        tell(told, [number(one), one.getsockname()])


def test_a_path_of_another_mount_namespace_is_no_address_here(spawn, tmp_path, diag):
    with told_by(spawn, elsewhere_listening, tmp_path) as (child, (inode, path)):
        record = inspect.find(f"unix:[{inode}]")
        if record.pids != (child.pid,):
            pytest.skip("a process in a user namespace of its own may not be looked into here")
        assert record.address == f"unix:[{inode}]"
        assert (record.bound, record.reachable) == (path, None)


def other_network(told, path):
    refused = enter(CLONE_NEWNET)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path)
        one.listen()
        tell(told, refused or {})


def test_other_network_namespaces_are_not_listed_and_that_is_said(spawn, tmp_path, diag):
    path = str(tmp_path / "s")
    with told_by(spawn, other_network, tmp_path, path):
        look = inspect.Look(["unix"])
        found = look.find([f"unix:{path}"])[f"unix:{path}"]
        assert (found.state, found.reachable, found.inode, found.verdict.state) == ("bound", True, 0, "in use")
        with pytest.raises(BusyError, match="another network namespace"):
            inspect.remove(found)
        if not any("other network namespaces" in note for note in look.notes):
            pytest.skip("a process in a user namespace of its own may not be looked into here")
    left = inspect.find(f"unix:{path}")
    assert (left.state, left.verdict.state) == ("left", "unused")
    inspect.remove(left)
    assert not os.path.exists(path)


@pytest.mark.parametrize("type", [STREAM, DGRAM, SEQPACKET])
def test_what_a_torn_list_has_left_out_is_no_leftover(made, tmp_path, type):
    path = str(tmp_path / "s")
    one = made(type, bound=path)
    found = absent(path, Scan.take({"unix"}))
    assert (found.inode, found.pids, found.verdict.state) == (number(one), (os.getpid(),), "in use")


def judge_as_nobody(path):
    inspect.find(f"unix:{path}")  # loads all modules, while they may be read
    become_nobody()
    return inspect.find(f"unix:{path}").verdict


@pytest.mark.skipif(not WAS_ROOT, reason="takes root, to have processes of two users")
def test_a_socket_file_that_may_not_be_connected_to_is_not_judged(spawn, made):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = f"{folder}/s"
        made(bound=path).close()
        os.chmod(path, 0o600)
        verdict = spawn(judge_as_nobody, path).result()
        assert verdict.state == "unknown"
        assert "Permission denied" in verdict.reason


def look_as_nobody(inode):
    list(inspect.objects(["unix"]))  # loads all modules, while they may be read
    become_nobody()
    (record,) = (record for record in inspect.objects(["unix"]) if record.inode == inode)
    return record.pids, record.unseen, record.verdict


@pytest.mark.skipif(not WAS_ROOT, reason="takes root, to have processes of two users")
def test_holders_who_may_not_be_looked_into_are_counted(spawn, made, diag):
    one = made(bound=f"\0{ABSTRACT}", listen=1)
    pids, unseen, verdict = spawn(look_as_nobody, number(one)).result()
    assert pids == ()
    assert unseen > 0
    assert verdict.state == "unknown"


def test_without_sock_diag_names_and_states_are_told(made, tmp_path, monkeypatch):
    path = str(tmp_path / "with @\nnewline")
    listener = made(bound=path, listen=5)
    client, waiting = made(to=path), made(bound=f"\0{ABSTRACT}@\0c", to=path)
    accepted = made.keep(listener.accept()[0])
    packets = made(DGRAM, bound=f"\0{ABSTRACT}\0x")
    found = {each.inode: each for each in listed()}
    assert (found[number(listener)].name, found[number(listener)].state) == (os.fsencode(path), LISTEN)
    assert (found[number(accepted)].name, found[number(accepted)].state) == (os.fsencode(path), ESTABLISHED)
    assert found[number(packets)].name == f"\0{ABSTRACT}\0x".encode()

    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")
        yield

    monkeypatch.setattr(socket_table, "described", refuse)
    scan = Scan.take({"unix"})
    told = {record.inode: record for record in collect(scan, "unix")}
    it, to, of = (told[number(one)] for one in (listener, client, accepted))
    assert (it.address, it.state, it.reachable, it.backlog) == (f"unix:{path}", "listening", None, None)
    assert (to.state, to.peer, to.to_read) == ("connected", None, None)
    assert (of.address, of.bound) == (f"unix:[{number(accepted)}]", path)
    assert number(waiting) in told
    assert any("sock_diag: Operation not permitted" in note for note in scan.notes)


def test_a_refusal_of_everything_is_said(monkeypatch):
    def refuse(*_):
        raise FileNotFoundError(2, "No such file or directory")
        yield

    monkeypatch.setattr(socket_table, "described", refuse)
    monkeypatch.setattr(socket_table, "listed", refuse)
    scan = Scan()
    assert list(collect(scan, "unix")) == []
    assert any("Unix sockets can't be listed" in note for note in scan.notes)
