"""The RPC language of RFC 4506 section 6 and RFC 5531 section 12: `.x` files to modules of Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipckit.rpc.idl._checker import check
from ipckit.rpc.idl._lifting import boxed, lifted, with_headers
from ipckit.rpc.idl._parser import parse
from ipckit.rpc.idl._preprocessor import Preprocessor, read_source
from ipckit.rpc.idl._source import IdlError, Place, Problem
from ipckit.rpc.idl._writer import write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["IdlError", "Module", "Place", "Problem", "compile_source", "read_source"]


@dataclass(frozen=True, slots=True)
class Module:
    """What became of a file.

    Attributes:
        source: the text of the Python module.
        notes: what was left out or is unusual, in the order in which it was seen.
    """

    source: str
    notes: tuple[Problem, ...]


def compile_source(
    text: str, file: str, *, include: Sequence[str] = (), defines: Mapping[str, str] | None = None
) -> Module:
    r'''Make a Python module of a file in the RPC language.

    >>> print(compile_source("const LIMIT = 0x10;\ntypedef string key<LIMIT>;", "kv.x").source)
    """Made from kv.x by `ipckit rpcgen`: change that file, not this one."""
    <BLANKLINE>
    from __future__ import annotations
    <BLANKLINE>
    from typing import Annotated
    <BLANKLINE>
    from ipckit.rpc import xdr
    <BLANKLINE>
    LIMIT = 0x10
    <BLANKLINE>
    Key = Annotated[str, xdr.Max(LIMIT)]
    <BLANKLINE>

    Args:
        file: its path: where quoted includes are looked for first, and what messages and the module call it.
        include: folders where further includes are looked for.
        defines: macros that are defined at the beginning, with what they stand for.

    Raises:
        IdlError: the file is wrong, or one that it includes; with the places.
        OSError: an included file can't be read.
    '''
    preprocessor = Preprocessor(include, defines or {})
    try:
        parsed = lifted(parse(preprocessor.tokens(text, file)))
        definitions = with_headers(parsed, preprocessor.defines)
        scope, notes = check(definitions)
        source = write(boxed(definitions, scope), scope, file)
    except RecursionError:
        first = Place(file, 1, 1, text.split("\n", 1)[0])
        raise IdlError(Problem(first, "constants, conditions or includes are nested too deeply")) from None
    return Module(source, (*preprocessor.notes, *notes))
