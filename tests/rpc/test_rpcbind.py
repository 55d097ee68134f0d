"""The port mapper's client, servers that register, and our own port mapper, which is the other side here."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import errors
from ipckit.rpc import Client, Procedure, Server, portmapper, rpcbind
from ipckit.rpc._portmap.uaddr import host_and_port, universal
from ipckit.rpc.portmapper import PortMapper
from ipckit.rpc.rpcbind import PROGRAM, Registered, Rpcbind, locate
from ipckit.sockets import inet
from tests.rpc import serving
from tests.rpc.serving import SECONDS, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OURS = 0x20000077
every = pytest.mark.parametrize("version", [2, 3, 4])
later = pytest.mark.parametrize("version", [3, 4])


@contextmanager
def mapped(folder: Path) -> Iterator[tuple[str, int]]:
    """A port mapper's socket and port."""
    path = str(folder / "rpcbind.sock")
    with portmapper.serve(path=path, port=0) as server:
        yield path, server.listeners[0].address[1]


def ours(found: list[Registered]) -> list[tuple[Any, ...]]:
    return [tuple(one)[1:] for one in found if one.program == OURS]


@every
def test_set_ask_dump_unset(tmp_path: Path, version: int) -> None:
    owner = "" if version == 2 else "superuser" if os.geteuid() == 0 else str(os.geteuid())
    any_host = "0.0.0.0" if version == 2 else "127.0.0.1"
    with mapped(tmp_path) as (path, port):
        ways: list[Any] = [{"path": path}, {"host": "127.0.0.1", "port": port}]
        ways += [{"host": "127.0.0.1", "port": port, "transport": "udp"}]
        for way in ways:
            owner = owner if "path" in way else ("" if version == 2 else "unknown")
            with Rpcbind.connect(version=version, timeout=SECONDS, **way) as mapper:
                mapper.null(SECONDS)
                assert mapper.version == version
                assert mapper.getport(OURS, 1, timeout=SECONDS) == 0
                assert ours(mapper.dump(SECONDS)) == []
                assert mapper.unset(OURS, 1, timeout=SECONDS) is False
                assert mapper.set(OURS, 1, "tcp", universal("127.0.0.1", 2049), timeout=SECONDS) is True
                assert mapper.set(OURS, 1, "tcp", universal("127.0.0.1", 2049), timeout=SECONDS) is True
                assert mapper.set(OURS, 1, "tcp", universal("127.0.0.1", 2050), timeout=SECONDS) is False
                assert mapper.set(OURS, 2, "udp", universal("127.0.0.1", 2051), timeout=SECONDS) is True
                assert mapper.getport(OURS, 1, "tcp", SECONDS) == 2049
                assert mapper.getport(OURS, 1, "udp", SECONDS) == 2051  # of version 2; there is no other
                assert ours(mapper.dump(SECONDS)) == [
                    (1, "tcp", universal(any_host, 2049), owner),
                    (2, "udp", universal(any_host, 2051), owner),
                ]
                assert mapper.unset(OURS, 1, timeout=SECONDS) is True
                assert mapper.unset(OURS, 2, timeout=SECONDS) is True
                assert len(mapper.dump(SECONDS)) == (6 if version == 2 else 9)


@later
def test_addresses_of_any_kind(tmp_path: Path, version: int) -> None:
    with mapped(tmp_path) as (path, _), Rpcbind.connect(path=path, version=version, timeout=SECONDS) as mapper:
        addresses = {"local": "/run/kv.sock", "tcp6": "::1.8.1", "udp6": "::1.8.2", "tcp": universal("0.0.0.0", 4)}
        for netid, address in addresses.items():
            assert mapper.set(OURS, 1, netid, address)
        for netid, address in addresses.items():
            assert mapper.getaddr(OURS, 1, netid, SECONDS) == address
        assert mapper.getaddr(OURS, 1, "", SECONDS) == "/run/kv.sock"  # by the way by which it was asked
        assert mapper.getaddr(OURS, 1, "raw", SECONDS) == ""
        for netid, address in (("", "127.0.0.1.0.1"), ("tcp", "nonsense"), ("udp", "127.0.0.1.0.256"), ("local", "")):
            assert mapper.set(OURS, 2, netid, address) is False
        assert abs(mapper.gettime(SECONDS) - time.time()) < 60
        assert mapper.unset(OURS, 1, "tcp", SECONDS)
        assert mapper.unset(OURS, 1, "", SECONDS)
        assert ours(mapper.dump(SECONDS)) == []
        if version == 4:
            entries = mapper.getaddrlist(PROGRAM, 4, SECONDS)
            assert [one.netid for one in entries] == ["tcp", "udp", "local"]
            with pytest.raises(errors.ProcedureUnavailableError):
                mapper.getstat(SECONDS)


def test_every_own_address_becomes_the_one_that_the_client_sees(tmp_path: Path) -> None:
    with mapped(tmp_path) as (path, port):
        with Rpcbind.connect(path=path) as mapper:
            assert mapper.set(OURS, 1, "tcp", universal("0.0.0.0", 2049))
        with Rpcbind.connect("127.0.0.1", port) as mapper:
            assert mapper.getaddr(OURS, 1, "tcp", SECONDS) == universal("127.0.0.1", 2049)


def test_who_may_remove_what() -> None:
    mapper = PortMapper()
    assert mapper.set(OURS, 1, "tcp", "127.0.0.1.0.1", "1000")
    assert not mapper.unset(OURS, 1, owner="1001")
    assert not mapper.unset(OURS, 1, "udp", "1000")
    assert mapper.unset(OURS, 1, "tcp", "1000")
    assert mapper.set(OURS, 1, "tcp", "127.0.0.1.0.1", "1000")
    assert mapper.unset(OURS, 1)


@every
def test_calls_for_somebody_else(tmp_path: Path, version: int) -> None:
    add = serving.ADD.arguments.encode((2, 3))
    with mapped(tmp_path) as (path, port), running() as it:
        with Rpcbind.connect(path=path, version=version) as mapper:
            assert mapper.set(serving.PROGRAM, 3, "udp", universal(*it.udp))
        for way in ({"path": path}, {"host": "127.0.0.1", "port": port, "transport": "udp"}):
            with Rpcbind.connect(version=version, **way) as mapper:  # type: ignore[arg-type]
                address, results = mapper.callit(serving.PROGRAM, 3, 2, add, SECONDS)
                assert host_and_port(address)[1] == it.udp[1]
                assert serving.ADD.result.decode(results) == 5
                for program, procedure in ((OURS, 0), (serving.PROGRAM, 77), (PROGRAM, 0)):
                    with pytest.raises(errors.TimeoutExpired):  # silence, for a broadcast is asked of everybody
                        mapper.callit(program, 3, procedure, b"", 0.02)


def test_a_server_registers_itself(tmp_path: Path) -> None:
    """In place of what a dead one left, and not longer than it serves."""
    with mapped(tmp_path) as (path, port):
        with Rpcbind.connect(path=path) as mapper:
            assert mapper.set(serving.PROGRAM, 3, "tcp", universal("127.0.0.1", 1))
        server = Server(serving.Threaded(), register=path)
        address = server.listen_tcp("127.0.0.1")[:2]
        server.listen_udp("127.0.0.1")
        server.listen_unix(tmp_path / "s")
        server.listen_unix()  # an abstract name cannot be told
        with server:
            while (found := _port(port)) in {0, 1}:  # not there, or the dead one's
                os.sched_yield()
            assert ("127.0.0.1", found) == address
            client = Client.connect_tcp(*locate("127.0.0.1", serving.PROGRAM, 3, port=port), serving.PROGRAM, 3)
            with client:
                assert client.call(serving.ADD, 1, 2, timeout=SECONDS) == 3
            with Rpcbind.connect(path=path) as mapper:
                found_all = {(one.netid, one.address) for one in mapper.dump() if one.program == serving.PROGRAM}
                names = {"tcp", "udp", "local"}
                assert {netid for netid, _ in found_all} == names
                assert ("local", str(tmp_path / "s")) in found_all
        with pytest.raises(errors.ProgramUnavailableError, match="is not registered for udp"):
            locate("127.0.0.1", serving.PROGRAM, 3, "udp", port=port)


def _port(port: int) -> int:
    with Rpcbind.connect("127.0.0.1", port, version=2) as mapper:
        return mapper.getport(serving.PROGRAM, 3, timeout=SECONDS)


def test_a_server_leaves_the_registration_of_its_successor(tmp_path: Path) -> None:
    with mapped(tmp_path) as (path, port):
        old, new = Server(serving.Threaded(), register=path), Server(serving.Threaded(), register=path)
        ports = [server.listen_tcp("127.0.0.1")[1] for server in (old, new)]
        old.__enter__()
        while _port(port) != ports[0]:
            os.sched_yield()
        with new:
            while _port(port) != ports[1]:
                os.sched_yield()
            old.__exit__(None, None, None)
            assert _port(port) == ports[1]
        assert _port(port) == 0


def test_a_server_that_cannot_register_does_not_serve(tmp_path: Path) -> None:
    server = Server(serving.Threaded(), register=tmp_path / "nobody")
    server.listen_unix(tmp_path / "s")
    with pytest.raises(errors.NotFoundError, match="no port mapper answers: start rpcbind"):
        server.serve_forever()
    assert not (tmp_path / "s").exists()


def test_a_port_mapper_that_ends_first_is_reported(tmp_path: Path) -> None:
    reported: list[BaseException] = []
    with mapped(tmp_path) as (path, port):
        server = Server(serving.Threaded(), register=path, on_error=lambda error, _: reported.append(error))
        server.listen_tcp("127.0.0.1")
        server.__enter__()
        while not _port(port):
            os.sched_yield()
    server.__exit__(None, None, None)
    assert [type(error) for error in reported] == [errors.NotFoundError]


def test_what_is_refused(tmp_path: Path) -> None:
    cases: list[tuple[type[Exception], str, Any]] = [
        (ValueError, "version must be 2, 3 or 4", lambda: Rpcbind.connect(version=5)),
        (ValueError, "transport must be tcp or udp", lambda: Rpcbind.connect("127.0.0.1", transport="sctp")),
        (errors.NotFoundError, "start rpcbind", lambda: Rpcbind.connect(path=tmp_path / "nobody")),
        (errors.BrokenPeerError, "start rpcbind", lambda: Rpcbind.connect("127.0.0.1", 1)),
        (ValueError, "address must be a host", lambda: host_and_port("127.0.0.1")),
        (ValueError, "address must be a host", lambda: host_and_port("127.0.0.1.0.-1")),
    ]
    for kind, text, make in cases:
        with pytest.raises(kind, match=text):
            make()
    with mapped(tmp_path) as (path, _), Rpcbind.connect(path=path, version=2) as mapper:
        for refused in (
            lambda: mapper.getaddr(1, 1),
            lambda: mapper.getaddrlist(1, 1),
            lambda: mapper.set(1, 1, "tcp6", "::1.0.1"),
            mapper.gettime,
            mapper.getstat,
        ):
            with pytest.raises(ValueError, match="version"):
                refused()
        assert "version 2" in repr(mapper)
    with pytest.raises(errors.ClosedError):
        mapper.dump()


def test_there_is_one_port_mapper(tmp_path: Path) -> None:
    with mapped(tmp_path) as (path, port), pytest.raises(errors.AlreadyExistsError):
        portmapper.serve(path=path, port=port)


def test_a_port_that_the_kernel_chose_is_free_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """It chooses one for TCP; another socket may have that for UDP."""
    listen = inet.Stream.listen
    first = listen(("127.0.0.1", 0))
    listeners = [first]
    with ExitStack() as stack:
        with suppress(errors.AlreadyExistsError):  # another test has it
            stack.enter_context(inet.Datagram.bind(first.address))
        monkeypatch.setattr(inet.Stream, "listen", lambda address: listeners.pop() if listeners else listen(address))
        with portmapper.serve(port=0) as server:
            tcp, udp = (listener.address for listener in server.listeners)
            assert tcp == udp
    assert listeners == []
    assert first.closed


def test_versions_and_procedures_that_it_does_not_have(tmp_path: Path) -> None:
    with mapped(tmp_path) as (path, _):
        with Client.connect_unix(path, PROGRAM, 7) as client, pytest.raises(errors.ProgramMismatchError) as caught:
            client.call_raw(0, timeout=SECONDS)
        assert (caught.value.low, caught.value.high) == (2, 4)
        with Client.connect_unix(path, PROGRAM, 4) as client, pytest.raises(errors.ProcedureUnavailableError):
            client.call(Procedure(8, "taddr2uaddr", (bytes,), str), b"", timeout=SECONDS)
        assert rpcbind.PATH == "/run/rpcbind.sock"
