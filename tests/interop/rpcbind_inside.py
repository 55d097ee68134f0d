"""What happens inside a network of its own, where port 111 and /run are free: theirs with ours, ours with theirs."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ipckit import errors
from ipckit.rpc import Client, Server, broadcast, portmapper
from ipckit.rpc.rpcbind import PATH, Registered, Rpcbind, host_and_port, locate, universal
from tests.rpc.serving import ADD, PROGRAM, Threaded

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 20
OURS = 0x20000077


def rpcinfo(*words: str, status: int = 0) -> list[list[str]]:
    """The lines of Debian's rpcinfo, in words."""
    done = subprocess.run(["rpcinfo", *words], capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
    return [line.split() for line in done.stdout.splitlines()]


def connected(**how: object) -> Rpcbind:
    """As soon as there is a port mapper."""
    while True:
        try:
            return Rpcbind.connect(timeout=SECONDS, **how)  # type: ignore[arg-type]
        except (errors.NotFoundError, errors.BrokenPeerError):
            time.sleep(0.001)


@contextmanager
def server() -> Iterator[dict[str, str]]:
    """A server of ours that registers; its addresses, once they are known."""
    serves = Server(Threaded(), register=True)
    with_host = {"tcp": serves.listen_tcp("127.0.0.1"), "udp": serves.listen_udp("127.0.0.1")}
    path = serves.listen_unix("/run/kv.sock", mode=0o666)
    addresses = {netid: universal(*address[:2]) for netid, address in with_host.items()} | {"local": str(path)}
    with serves:
        with connected() as mapper:
            while {one.netid for one in mapper.dump(SECONDS) if one.program == PROGRAM} < set(addresses):
                time.sleep(0.001)
        yield addresses


def found_by_rpcinfo(addresses: dict[str, str]) -> None:
    """Debian's rpcinfo sees the server, and reaches it."""
    program = str(PROGRAM)
    ports = {netid: str(host_and_port(addresses[netid])[1]) for netid in ("tcp", "udp")}
    for words in (("-p",), ("-p", "127.0.0.1")):
        seen = {line[2]: line[1:4] for line in rpcinfo(*words) if line[0] == program}
        assert seen == {netid: ["3", netid, port] for netid, port in ports.items()}, (words, seen)
    assert {line[2]: line[3] for line in rpcinfo() if line[0] == program} == addresses
    (short,) = [line for line in rpcinfo("-s") if line[0] == program]
    assert short[1] == "3", short
    assert set(short[2].split(",")) == set(addresses), short
    ready = ["program", program, "version", "3", "ready", "and", "waiting"]
    for words in (("-T", "tcp"), ("-T", "udp"), ("-t",), ("-u",)):
        assert rpcinfo(*words, "127.0.0.1", program, "3") == [ready], words
        assert rpcinfo(*words, "127.0.0.1", program) == [ready], words  # learns the version from PROG_MISMATCH
        rpcinfo(*words, "127.0.0.1", program, "4", status=1)


def gone() -> None:
    """Nothing of the server is registered any more."""
    assert [line for line in rpcinfo() if line[0] == str(PROGRAM)] == []


def theirs() -> None:
    """Debian's rpcbind: our servers register with it, our client asks it everything, and our rpcinfo says the same."""
    with subprocess.Popen(["rpcbind", "-f", "-w", "-r"]) as rpcbind:
        try:
            connected().close()
            with server() as addresses:
                found_by_rpcinfo(addresses)
                for netid in ("tcp", "udp"):
                    assert locate("127.0.0.1", PROGRAM, 3, netid) == ("127.0.0.1", host_and_port(addresses[netid])[1])
                with Client.connect_tcp(*locate("127.0.0.1", PROGRAM, 3), program=PROGRAM, version=3) as client:
                    assert client.call(ADD, 2, 3, timeout=SECONDS) == 5
                ask_theirs(addresses)
                same_as_theirs()
            gone()
            stale()
        finally:
            rpcbind.terminate()


def ask_theirs(addresses: dict[str, str]) -> None:
    """Our client, in each version."""
    arguments = ADD.arguments.encode((2, 3))
    for version in (2, 3, 4):
        with Rpcbind.connect("127.0.0.1", version=version, transport="udp") as mapper:
            mapper.null(SECONDS)
            address, results = mapper.callit(PROGRAM, 3, 2, arguments, SECONDS)
            assert host_and_port(address)[1] == host_and_port(addresses["udp"])[1], address
            assert ADD.result.decode(results) == 5
        with connected(version=version) as mapper:
            assert mapper.set(OURS, 1, "tcp", universal("0.0.0.0", 2049), timeout=SECONDS)
            assert not mapper.set(OURS, 1, "tcp", universal("0.0.0.0", 2050), timeout=SECONDS)
            (one,) = [one for one in mapper.dump(SECONDS) if one.program == OURS]
            assert one == Registered(OURS, 1, "tcp", universal("0.0.0.0", 2049), "" if version == 2 else one.owner)
            assert mapper.unset(OURS, 1, timeout=SECONDS)
            assert [one for one in mapper.dump(SECONDS) if one.program == OURS] == []
    loopback = {"addresses": ["127.255.255.255"], "timeout": SECONDS, "until": lambda _: True}
    assert broadcast(PROGRAM, 3, ADD, 2, 3, **loopback) == [(5, ("127.0.0.1", host_and_port(addresses["udp"])[1]))]
    with Rpcbind.connect("127.0.0.1", version=4, timeout=SECONDS) as mapper:
        assert mapper.getport(PROGRAM, 3, timeout=SECONDS) == host_and_port(addresses["tcp"])[1]
        assert mapper.getaddr(OURS, 1, "tcp", SECONDS) == ""
        assert {one.netid for one in mapper.getaddrlist(PROGRAM, 3, SECONDS)} >= {"tcp"}
        assert abs(mapper.gettime(SECONDS) - time.time()) < 60
        assert sum(sum(each.calls) for each in mapper.getstat(SECONDS)) > 10


def same_as_theirs() -> None:
    """Our rpcinfo and Debian's, beside one another."""
    for words in (
        ("-p",), ("-p", "127.0.0.1"), (), ("-s",), ("-t", "127.0.0.1", str(PROGRAM), "3"),
        ("-u", "127.0.0.1", str(PROGRAM)), ("-T", "tcp", "127.0.0.1", "portmapper"),
    ):  # fmt: skip
        command = [sys.executable, "-m", "ipckit", "rpcinfo", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS)
        ours = [line.split() for line in done.stdout.splitlines()]
        theirs = rpcinfo(*words)
        if words == ("-s",):  # the order of netids is nobody's
            for line in ours + theirs:
                line[1:3] = [",".join(sorted(word.split(","))) for word in line[1:3]]
        assert sorted(ours) == sorted(theirs), (words, ours, theirs)


def stale() -> None:
    """What a server left that died is replaced."""
    with connected() as mapper:
        assert mapper.set(PROGRAM, 3, "tcp", universal("0.0.0.0", 9), timeout=SECONDS)
    with server() as addresses:
        found_by_rpcinfo(addresses)
    gone()


def ours() -> None:
    """Our port mapper on port 111: Debian's rpcinfo asks it."""
    with portmapper.serve(path=PATH):
        with server() as addresses:
            found_by_rpcinfo(addresses)
            listed = rpcinfo("-l", "127.0.0.1", str(PROGRAM), "3")
            assert {line[2] for line in listed[1:]} >= {"inet/tcp/cots_ord", "inet/udp/clts"}, listed
            rpcinfo("-d", "-T", "udp", str(PROGRAM), "3")
            assert {line[2] for line in rpcinfo() if line[0] == str(PROGRAM)} == {"tcp", "local"}
        gone()


if __name__ == "__main__":
    {"theirs": theirs, "ours": ours}[sys.argv[1]]()
    print("done")
