"""`ipckit rpcinfo`, asking our own port mapper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ipckit.cli import main, rpcinfo
from ipckit.rpc import Server, portmapper
from tests.rpc import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., tuple[int, list[str], str]]]:
    """Run the command with a port mapper that knows one more program; status, lines, stderr."""
    path = str(tmp_path / "rpcbind.sock")
    with portmapper.serve(path=path, port=0) as mapper:
        port = mapper.listeners[0].address[1]
        server = Server(serving.Threaded(), register=path)
        addresses = [server.listen_tcp("127.0.0.1"), server.listen_udp("127.0.0.1"), server.listen_unix(tmp_path / "s")]
        with server:

            def asked(*words: str) -> tuple[int, list[str], str]:
                named = [word.replace("TCPPORT", str(addresses[0][1])) for word in words]
                status = main(["rpcinfo", "--path", path, "--port", str(port), "--timeout", "20", *named])
                out, err = capsys.readouterr()
                return status, out.splitlines(), err

            while not any(str(serving.PROGRAM) in line for line in asked("-p")[1]):
                pass
            while not any("local" in line for line in asked()[1] if str(serving.PROGRAM) in line):
                pass
            yield asked


PROGRAM = str(serving.PROGRAM)
READY = f"program {PROGRAM} version 3 ready and waiting"


def test_lists(ask: Callable[..., tuple[int, list[str], str]]) -> None:
    for words in (("-p",), ("-p", "127.0.0.1")):
        status, lines, _ = ask(*words)
        assert status == 0
        assert lines[0].split() == ["program", "vers", "proto", "port", "service"]
        assert [line.split()[:3] for line in lines if PROGRAM in line] == [[PROGRAM, "3", "tcp"], [PROGRAM, "3", "udp"]]
    _, lines, _ = ask("-s")
    assert lines[1].split()[:3] == ["100000", "2,3,4", "tcp,udp,local"]
    assert lines[2].split() == [PROGRAM, "3", "tcp,udp,local", "-", lines[2].split()[-1]]
    _, lines, _ = ask()
    assert lines[0].split() == ["program", "version", "netid", "address", "service", "owner"]
    assert {line.split()[2] for line in lines[1:]} == {"tcp", "udp", "local"}
    status, lines, _ = ask("-l", "127.0.0.1", PROGRAM, "3")
    assert [line.split()[2] for line in lines[1:]] == ["inet/tcp/cots_ord", "inet/udp/clts", "loopback/-/cots_ord"]
    assert ask("-l", "127.0.0.1", PROGRAM, "4")[0] == 1


@pytest.mark.parametrize(
    ("words", "status", "lines"),
    [
        (("-t", "127.0.0.1", PROGRAM, "3"), 0, [READY]),
        (("-u", "127.0.0.1", PROGRAM, "3"), 0, [READY]),
        (("-t", "127.0.0.1", PROGRAM), 0, [READY]),
        (("-t", "127.0.0.1", hex(int(PROGRAM)), "0x3"), 0, [READY]),
        (("-t", "127.0.0.1", "0x1ffffffff"), 2, []),
        (("-T", "udp", "127.0.0.1", PROGRAM), 0, [READY]),
        (("-T", "local", "here", PROGRAM, "3"), 0, [READY]),
        (("-n", "TCPPORT", "-t", "127.0.0.1", PROGRAM), 0, [READY]),
        (("-t", "127.0.0.1", "100000", "2"), 0, ["program 100000 version 2 ready and waiting"]),
        (("-t", "127.0.0.1", PROGRAM, "4"), 1, None),
        (("-t", "127.0.0.1", "77", "1"), 1, []),
        (("-T", "local", "here", "77", "1"), 1, []),
        (("-n", "1", "-t", "127.0.0.1", "77", "1"), 1, []),
        (("-t", "127.0.0.1"), 2, []),
        (("-t", "127.0.0.1", "no-such-name"), 2, []),
        (("-t", "127.0.0.1", PROGRAM, "x"), 2, []),
        (("-d", PROGRAM, "9"), 1, []),
        (("one", "two"), 2, []),
    ],
)
def test_asks(
    ask: Callable[..., tuple[int, list[str], str]], words: tuple[str, ...], status: int, lines: list[str] | None
) -> None:
    got, out, err = ask(*words)
    assert got == status, err
    if lines is not None:
        assert out == lines
        assert bool(err) is bool(status)
    else:
        assert out == [f"program {PROGRAM} version 4 is not available: {out[0].split(': ', 1)[1]}"]
        assert "3 to 3" in out[0]


def test_deletes(ask: Callable[..., tuple[int, list[str], str]]) -> None:
    assert ask("-d", "-T", "udp", PROGRAM, "3")[0] == 0
    assert [line.split()[2] for line in ask("-p")[1] if PROGRAM in line] == ["tcp"]
    assert ask("-d", PROGRAM, "3")[0] == 0
    assert not any(PROGRAM in line for line in ask()[1])


def test_without_a_port_mapper(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rpcinfo", "--path", str(tmp_path / "nobody")]) == 1
    assert "no port mapper answers: start rpcbind" in capsys.readouterr().err
    assert main(["rpcinfo", "no such host"]) == 1
    told = capsys.readouterr().err
    assert "getaddrinfo" in told
    assert "start rpcbind" not in told


def test_names_of_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = tmp_path / "rpc"
    names.write_text("# names\n\nportmapper\t100000\tportmap sunrpc\nkv 536871033 # ours\nbroken\nodd x\n")
    monkeypatch.setattr(rpcinfo, "NAMES", names)
    assert rpcinfo._names() == {100000: "portmapper", 536871033: "kv"}
    assert rpcinfo._program("sunrpc") == 100000
    monkeypatch.setattr(rpcinfo, "NAMES", tmp_path / "none")
    assert rpcinfo._names() == {}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("-n", "65536", "-t", "localhost", "1"), "-n: must be a port, 0 to 65535, not '65536'"),
        (("--port", "x"), "--port: must be a port, 0 to 65535, not 'x'"),
        (("--timeout", "nan"), "--timeout: must be 0 or more seconds, not 'nan'"),
    ],
)
def test_what_is_no_port_or_time_is_said(
    words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["rpcinfo", *words])
    assert sentence in capsys.readouterr().err
