"""`ipckit rpcinfo`: which programs are registered with a port mapper, and do they answer? As rpcinfo(8)."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ipckit.cli.failure import Failure
from ipckit.cli.transfer.quantities import seconds
from ipckit.errors import IPCError, ProgramMismatchError, ProgramUnavailableError, RpcError
from ipckit.rpc.client import Client
from ipckit.rpc.rpcbind import PATH, PORT, Registered, Rpcbind, host_and_port

if TYPE_CHECKING:
    from collections.abc import Iterable

DESCRIPTION = """\
List the programs that the port mapper of a host knows, or ask a program whether it is there.

  ipckit rpcinfo [-p | -s] [HOST]                         list; without HOST, of this machine
  ipckit rpcinfo -l HOST PROGRAM VERSION                  all addresses of a program
  ipckit rpcinfo [-n PORT] -t|-u HOST PROGRAM [VERSION]   call its procedure 0 by TCP, by UDP
  ipckit rpcinfo -T NETID HOST PROGRAM [VERSION]          the same by tcp, udp or local
  ipckit rpcinfo -d [-T NETID] PROGRAM VERSION            remove what is registered on this machine"""

NAMES = Path("/etc/rpc")
_NO_VERSION = 0
_MOST_VERSIONS = 1000
_UINT = (1 << 32) - 1
_MOST_PORT = 65535
_NUMBER = re.compile("[0-9]{1,20}|0[xX][0-9a-fA-F]{1,20}")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "rpcinfo",
        help="list RPC programs, or ask one whether it is there",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", nargs="*", metavar="HOST, PROGRAM, VERSION", help="as shown above")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("-p", action="store_true", help="list what version 2 of the port mapper knows: TCP and UDP")
    what.add_argument("-s", action="store_true", help="list one line for each program")
    what.add_argument("-l", action="store_true", help="list all addresses of one version of a program")
    what.add_argument("-d", action="store_true", help="delete the registration of a version")
    what.add_argument("-t", action="store_true", help="call the program by TCP")
    what.add_argument("-u", action="store_true", help="call the program by UDP")
    parser.add_argument("-T", metavar="NETID", choices=("tcp", "udp", "local"), help="call the program by NETID")
    parser.add_argument("-n", metavar="PORT", type=_port, help="the program's port, instead of asking the port mapper")
    parser.add_argument("--port", metavar="PORT", type=_port, default=PORT, help="of the port mapper: 111")
    parser.add_argument("--path", metavar="FILE", default=PATH, help=f"of this machine's port mapper: {PATH}")
    parser.add_argument("--timeout", metavar="S", type=seconds, default=10.0, help="seconds for each answer: 10")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do it."""
    if arguments.d:
        _words(arguments, 2, 2)
        return _delete(arguments)
    if arguments.t or arguments.u or arguments.T:
        _words(arguments, 2, 3)
        return _ping(arguments)
    if arguments.l:
        _words(arguments, 3, 3)
        return _addresses(arguments)
    _words(arguments, 0, 1)
    host = arguments.words[0] if arguments.words else None
    if arguments.p:
        print(*_ports(_dump(arguments, host, 2)), sep="\n")
    elif arguments.s:
        print(*_short(_dump(arguments, host, 4)), sep="\n")
    else:
        print(*_long(_dump(arguments, host, 4)), sep="\n")
    return 0


def _words(arguments: argparse.Namespace, least: int, most: int) -> None:
    if not least <= len(arguments.words) <= most:
        raise Failure("rpcinfo: wrong number of words; `ipckit rpcinfo --help` shows what goes together", status=2)


def _connect(arguments: argparse.Namespace, host: str | None, version: int) -> Rpcbind:
    return Rpcbind.connect(host, arguments.port, path=arguments.path, version=version, timeout=arguments.timeout)


def _dump(arguments: argparse.Namespace, host: str | None, version: int) -> list[Registered]:
    """What is registered, in *version* or, where the port mapper is an old one, in the latest that it speaks."""
    with _connect(arguments, host, version) as mapper:
        try:
            return mapper.dump(arguments.timeout)
        except ProgramMismatchError as error:
            latest = error.high
    with _connect(arguments, host, latest) as mapper:
        return mapper.dump(arguments.timeout)


def _ports(found: list[Registered]) -> Iterable[str]:
    names = _names()
    yield "   program vers proto   port  service"
    for one in found:
        port = host_and_port(one.address)[1]
        yield f"{one.program:>10} {one.version:>4} {one.netid:>5} {port:>6}  {names.get(one.program, '')}".rstrip()


def _long(found: list[Registered]) -> Iterable[str]:
    names = _names()
    yield "   program version netid     address                service    owner"
    for one in found:
        name = names.get(one.program, "-")
        yield f"{one.program:>10} {one.version:>4}    {one.netid:<9} {one.address:<22} {name:<10} {one.owner or '-'}"


def _short(found: list[Registered]) -> Iterable[str]:
    names = _names()
    yield "   program version(s) netid(s)                         service     owner"
    for program in dict.fromkeys(one.program for one in found):
        ours = [one for one in found if one.program == program]
        versions = ",".join(str(version) for version in dict.fromkeys(one.version for one in ours))
        netids = ",".join(dict.fromkeys(one.netid for one in ours))
        yield f"{program:>10}  {versions:<9} {netids:<32} {names.get(program, '-'):<11} {ours[0].owner or '-'}"


def _addresses(arguments: argparse.Namespace) -> int:
    host, program, version = arguments.words[0], _program(arguments.words[1]), _number(arguments.words[2], "VERSION")
    with _connect(arguments, host, 4) as mapper:
        entries = mapper.getaddrlist(program, version, arguments.timeout)
    if not entries:
        raise Failure(f"rpcinfo: program {program} version {version} is not registered")
    print("   program vers  tp_family/name/class    address\t\t  service")
    kinds = {1: "clts", 2: "cots", 3: "cots_ord"}
    for one in entries:
        kind = f"{one.family}/{one.protocol}/{kinds.get(one.semantics, one.semantics)}"
        print(f"{program:>10}  {version:>3}  {kind:<22}  {one.address:<22}  {_names().get(program, '-')}")
    return 0


def _delete(arguments: argparse.Namespace) -> int:
    program, version = _program(arguments.words[0]), _number(arguments.words[1], "VERSION")
    with _connect(arguments, None, 4) as mapper:
        if not mapper.unset(program, version, arguments.T or "", arguments.timeout):
            raise Failure(f"rpcinfo: program {program} version {version} is not registered, or not by us")
    return 0


def _ping(arguments: argparse.Namespace) -> int:
    netid = arguments.T or ("udp" if arguments.u else "tcp")
    host, program = arguments.words[0], _program(arguments.words[1])
    if len(arguments.words) == 3:
        return _ask(arguments, netid, host, program, _number(arguments.words[2], "VERSION"))
    low, high = _versions(arguments, netid, host, program)
    if high - low > _MOST_VERSIONS:
        raise Failure(f"rpcinfo: program {program} claims versions {low} to {high}; name one of them")
    return max(_ask(arguments, netid, host, program, version) for version in range(low, high + 1))


def _versions(arguments: argparse.Namespace, netid: str, host: str, program: int) -> tuple[int, int]:
    """Ask for a version that there should not be."""
    with _reach(arguments, netid, host, program, _NO_VERSION) as client:
        try:
            client.call_raw(0, timeout=arguments.timeout)
        except ProgramMismatchError as error:
            return error.low, error.high
        except IPCError as error:
            raise Failure(f"rpcinfo: {error}") from None
    return _NO_VERSION, _NO_VERSION


def _ask(arguments: argparse.Namespace, netid: str, host: str, program: int, version: int) -> int:
    with _reach(arguments, netid, host, program, version) as client:
        try:
            client.call_raw(0, timeout=arguments.timeout)
        except RpcError as error:
            print(f"program {program} version {version} is not available: {error}")
            return 1
    print(f"program {program} version {version} ready and waiting")
    return 0


def _reach(arguments: argparse.Namespace, netid: str, host: str, program: int, version: int) -> Client:
    """A client of the program, wherever it is."""
    if netid == "local":
        with _connect(arguments, None, 4) as mapper:
            path = mapper.getaddr(program, version, "local", arguments.timeout)
        if not path:
            raise ProgramUnavailableError(f"program {program} is not registered for local")
        return Client.connect_unix(path, program, version, timeout=arguments.timeout)
    port = arguments.n
    if port is None:
        with Rpcbind.connect(host, arguments.port, version=2, transport=netid, timeout=arguments.timeout) as mapper:
            port = mapper.getport(program, version, netid, arguments.timeout)
        if not port:
            raise ProgramUnavailableError(f"program {program} is not registered for {netid}")
    if netid == "udp":
        return Client.connect_udp(host, port, program, version)
    return Client.connect_tcp(host, port, program, version, timeout=arguments.timeout)


def _program(word: str) -> int:
    """The number of a program that is given by number or by name."""
    if _NUMBER.fullmatch(word):
        return _number(word, "PROGRAM")
    number = next((int(line[1]) for line in _lines() if word in {line[0], *line[2:]}), None)
    if number is None:
        raise Failure(f"rpcinfo: PROGRAM must be a number, or a name of {NAMES}, not {word!r}", status=2)
    return number


def _number(word: str, name: str) -> int:
    number = -1
    if _NUMBER.fullmatch(word):
        number = int(word, 16 if word[:2] in ("0x", "0X") else 10)
    if not 0 <= number <= _UINT:
        raise Failure(f"rpcinfo: {name} must be from 0 to {_UINT}, not {word!r}", status=2)
    return number


def _port(word: str) -> int:
    if not word.isdecimal() or int(word) > _MOST_PORT:
        raise argparse.ArgumentTypeError(f"must be a port, 0 to {_MOST_PORT}, not {word!r}")
    return int(word)


def _names() -> dict[int, str]:
    return {int(line[1]): line[0] for line in reversed(_lines())}


def _lines() -> list[list[str]]:
    """The words of the lines of rpc(5): name, number, other names."""
    try:
        text = NAMES.read_text("utf-8", "replace")
    except OSError:
        return []
    lines = [line.split("#")[0].split() for line in text.splitlines()]
    return [line for line in lines if len(line) > 1 and line[1].isdecimal()]
