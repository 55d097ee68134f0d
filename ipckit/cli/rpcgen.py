"""`ipckit rpcgen`: a file in the RPC language to a module of Python."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING

from ipckit.cli.failure import Failure

if TYPE_CHECKING:
    from ipckit.rpc.idl import Module

DESCRIPTION = """\
Make a Python module of a file in the RPC language (RFC 4506, RFC 5531): its types, and for each version of a program
an abstract class for the server and two classes for clients."""

_NAME = re.compile(r"[A-Za-z_]\w*")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "rpcgen",
        help="make a Python module of an .x file",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE.x", help="the file to read; - is stdin")
    parser.add_argument("-o", "--output", metavar="FILE.py", default="-", help="the module to write; - is stdout")
    parser.add_argument(
        "-I", "--include", metavar="DIR", action="append", default=[], help="look for included files there too"
    )
    parser.add_argument(
        "-D", "--define", metavar="NAME[=VALUE]", action="append", default=[], type=_define, help="define a macro"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; status 1 if FILE.x is wrong or FILE.py is not up to date"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="do not say what was left out")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read, compile, write; return the exit status."""
    module = _compiled(arguments)
    if not arguments.quiet:
        for note in module.notes:
            print(f"{note.place}: note: {note.message}", file=sys.stderr)
    if arguments.check:
        return _check(module, arguments.output)
    if arguments.output == "-":
        sys.stdout.write(module.source)
        return 0
    with open(arguments.output, "w", encoding="utf-8") as file:
        file.write(module.source)
    return 0


def _compiled(arguments: argparse.Namespace) -> Module:
    from ipckit.rpc.idl import IdlError, compile_source, read_source

    stdin = arguments.file == "-"
    text = sys.stdin.read() if stdin else read_source(arguments.file)
    name = "<stdin>" if stdin else arguments.file
    try:
        return compile_source(text, name, include=arguments.include, defines=dict(arguments.define))
    except IdlError as error:
        print(error, file=sys.stderr)
        count = len(error.problems)
        raise Failure(f"{name}: {count} error{'s' if count > 1 else ''}, nothing was written") from None


def _check(module: Module, output: str) -> int:
    if output == "-":
        return 0
    try:
        with open(output, encoding="utf-8") as file:
            current = file.read()
    except FileNotFoundError:
        raise Failure(f"{output} does not exist") from None
    if current != module.source:
        raise Failure(f"{output} is not what its file would become now: write it again without --check")
    return 0


def _define(text: str) -> tuple[str, str]:
    name, given, value = text.partition("=")
    if _NAME.fullmatch(name) is None:
        raise argparse.ArgumentTypeError(f"must be NAME or NAME=VALUE, not {text!r}")
    return name, value if given else "1"
