"""One call to many servers: directly, and through port mappers."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import errors, rpc
from ipckit.rpc._portmap.services import VERSIONS
from ipckit.rpc.portmapper import PortMapper
from ipckit.rpc.rpcbind import universal
from ipckit.sockets import inet
from tests.rpc.serving import PROGRAM, SECONDS, success, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VERSION = 3
EVERYBODY = "0.0.0.0"
NAME = rpc.Procedure(1, "name", (str,), str)


class Named(rpc.Service):
    """One of several servers: it tells which."""

    PROGRAM, VERSION, PROCEDURES = PROGRAM, VERSION, (NAME,)

    def __init__(self, own: str) -> None:
        self.own = own
        self.calls = 0

    def name(self, prefix: str) -> str:
        self.calls += 1
        return prefix + self.own


@pytest.fixture(scope="module")
def loopback() -> str:
    """The broadcast address of the loopback interface, where it has one that works."""
    address = "127.255.255.255"
    with inet.Datagram.bind((EVERYBODY, 0)) as hearer, inet.Datagram.bind(("127.0.0.1", 0)) as sender:
        sender.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        try:
            sender.send_to(b"?", (address, hearer.address[1]))
            hearer.receive_from(timeout=1)
        except errors.IPCError as error:
            pytest.skip(f"the loopback interface broadcasts nothing here: {error}")
    return address


@contextmanager
def machine(service: Named, mapper_port: int = 0) -> Iterator[tuple[int, int]]:
    """A server, and a port mapper of a port that several share: the ports of both."""
    server = rpc.Server(service)
    port = server.listen_udp("127.0.0.1")[1]
    mapper = PortMapper()
    mapper.set(service.PROGRAM, service.VERSION, "udp", universal("127.0.0.1", port))
    mapping = rpc.Server(*(version(mapper) for version in VERSIONS))
    mapper_port = mapping.listen_udp(EVERYBODY, mapper_port, reuse_port=True)[1]
    with mapping, server:
        yield mapper_port, port


def after(count: int) -> Callable[[rpc.Answer], bool]:
    """True for the last of so many answers."""
    numbers = itertools.count(1)
    return lambda _: next(numbers) == count


def test_port_mappers_pass_it_on_and_tell_the_ports(loopback: str) -> None:
    ports = []
    with ExitStack() as stack:
        mapper_port = 0
        for own in "abc":
            mapper_port, port = stack.enter_context(machine(Named(own), mapper_port))
            ports.append(port)
        how: dict[str, Any] = {"addresses": [loopback], "mapper_port": mapper_port, "timeout": SECONDS}
        answers = rpc.broadcast(PROGRAM, VERSION, NAME, "x", until=after(3), **how)
        assert sorted(answers) == [(f"x{own}", ("127.0.0.1", port)) for own, port in zip("abc", ports, strict=True)]
        for answer in answers:
            with rpc.Client.connect_udp(*answer.address, PROGRAM, VERSION) as client:
                assert client.call(NAME, "x", timeout=SECONDS) == answer.result
        assert len(rpc.broadcast(PROGRAM, VERSION, NAME, "x", until=lambda _: True, **how)) == 1


def test_a_port_that_all_have(loopback: str) -> None:
    service = Named("a")
    server = rpc.Server(service)
    port = server.listen_udp(EVERYBODY)[1]
    with server:
        answers = rpc.broadcast(
            PROGRAM, VERSION, NAME, "x", port=port, addresses=[loopback], timeout=None, until=lambda _: True
        )
    assert answers == [("xa", ("127.0.0.1", port))]


def nonsense(sock: inet.Datagram, told: list[bytes], heard: threading.Event) -> None:
    """Answers a call by what is no answer, and the first that was sent after somebody was *heard* by one."""
    for number in range(2):
        if number:
            assert heard.wait(SECONDS)
            while (message := sock.try_receive()) is not None:
                told.append(message)
        message, caller = sock.receive_from(SECONDS)
        told.append(message)
        xid = int.from_bytes(message[:4], "big")
        for answer in (b"", b"\0", message, success(xid ^ 1, words(0)), success(xid, words(7)), words(xid, 1, 1, 1, 5)):
            sock.send_to(answer, caller)
        if number:
            sock.send_to(success(xid, words(1) + b"z\0\0\0"), caller)


def test_who_refuses_or_talks_nonsense_is_left_out_and_who_missed_it_is_asked_again() -> None:
    """Machines are addresses as well: 127.0.0.1 to 127.0.0.3."""
    service, told = Named("a"), list[bytes]()
    refusing = rpc.Server(Named("b").as_program(PROGRAM + 1))
    server = rpc.Server(service)
    port = server.listen_udp("127.0.0.1")[1]
    refusing.listen_udp("127.0.0.2", port)
    with server, refusing, inet.Datagram.bind(("127.0.0.3", port)) as sock:
        heard, numbers = threading.Event(), itertools.count(1)
        thread = threading.Thread(target=nonsense, args=(sock, told, heard))
        thread.start()

        def second(_: rpc.Answer) -> bool:
            heard.set()
            return next(numbers) == 2

        hosts = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
        how: dict[str, Any] = {"retry_interval": 0.02, "timeout": SECONDS, "until": second}
        answers = rpc.broadcast(PROGRAM, VERSION, NAME, "x", port=port, addresses=hosts, **how)
        thread.join()
    assert answers == [("xa", ("127.0.0.1", port)), ("z", ("127.0.0.3", port))]
    assert service.calls == 1
    assert len(set(told)) == 1


def test_nobody_answers() -> None:
    with inet.Datagram.bind(("127.0.0.1", 0)) as silent:
        where: dict[str, Any] = {"port": silent.address[1], "addresses": ["127.0.0.1"]}
        for timeout in (0, 0.01):
            assert rpc.broadcast(PROGRAM, VERSION, NAME, "x", timeout=timeout, **where) == []
            assert silent.receive_from(timeout=SECONDS).data.endswith(b"x\0\0\0")
        with pytest.raises(ValueError, match="timeout must be seconds where there is no until"):
            rpc.broadcast(PROGRAM, VERSION, NAME, "x", timeout=None, **where)
        with pytest.raises(ValueError, match="addresses must name"):
            rpc.broadcast(PROGRAM, VERSION, NAME, "x", timeout=1, addresses=())
        with pytest.raises(errors.XdrError):
            rpc.broadcast(PROGRAM, VERSION, NAME, 7, timeout=1, **where)
        with pytest.raises(errors.MessageTooLargeError):
            rpc.broadcast(PROGRAM, VERSION, NAME, "x" * 65507, timeout=1, **where)
        with pytest.raises(errors.TimeoutExpired):
            silent.receive_from(timeout=0)


def test_only_where_no_address_can_be_sent_to_it_fails() -> None:
    server = rpc.Server(Named("a"))
    port = server.listen_udp("127.0.0.1")[1]
    unreachable = "::1"  # by IPv4
    with server:
        for hosts in ([unreachable, "127.0.0.1"], ["127.0.0.1", unreachable]):
            how: dict[str, Any] = {"port": port, "timeout": SECONDS, "until": lambda _: True}
            assert len(rpc.broadcast(PROGRAM, VERSION, NAME, "x", addresses=hosts, **how)) == 1
        with pytest.raises(errors.SyscallError):
            rpc.broadcast(PROGRAM, VERSION, NAME, "x", addresses=[unreachable], **how)


PREPARE = (
    "ip link set lo up && ip link add one type veth peer name other && ip link set one up && ip link set other up"
    " && ip address add 10.9.8.7/24 broadcast 10.9.8.255 dev one && exec "
)


@pytest.mark.slow
def test_without_addresses_it_goes_to_the_networks_of_the_machine() -> None:
    for tool, package in (("unshare", "util-linux"), ("ip", "iproute2")):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed (Debian, Ubuntu: apt-get install {package})")
    command = ["unshare", "-n" if os.geteuid() == 0 else "-rn", "sh", "-c"]
    tried = subprocess.run([*command, PREPARE + "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no network of our own: {tried.stderr.strip()}")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [*command, PREPARE + '"$@"', "sh", sys.executable, "-m", "tests.rpc.broadcast_inside"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("10.9.8.7") == 2
