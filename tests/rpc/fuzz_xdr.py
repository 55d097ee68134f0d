"""Coverage-guided fuzzing of the decoders of `ipckit.rpc.xdr`: `make fuzz-rpc`, or python -m tests.rpc.fuzz_xdr.

The first byte chooses a type, the others are decoded as it. Compiled code and walker must agree; what they take must be
what they write; and nothing but XdrError may be raised. Arguments are those of libFuzzer.
"""

from __future__ import annotations

import sys
from types import FunctionType
from typing import Any

import atheris

with atheris.instrument_imports(include=["ipckit.rpc.xdr"]):
    from ipckit.errors import XdrError
    from ipckit.rpc import xdr
    from ipckit.rpc.xdr._walk_decoder import walk_decoding

from tests.rpc import test_xdr_chains as chains
from tests.rpc import test_xdr_tirpc as tirpc
from tests.rpc import test_xdr_types as plain

TYPES: list[Any] = [
    tirpc.Item,
    list[tirpc.Item],
    plain.File,
    list[plain.Many],
    plain.Answer,
    plain.Tree,
    plain.Directory,
    list[plain.Checked],
    plain.Unrolled,
    chains.Holder,
    chains.Frozen,
    chains.Tree,
    chains.Even,
    chains.Stack,
    list[bool],
    list[xdr.Hyper],
    list[plain.Kind],
]
CODECS = [xdr.codec(annotation, max_depth=20) for annotation in TYPES]


def instrument(codec: xdr.Codec[Any]) -> None:
    """Let the fuzzer see the branches of the compiled decoder: of all functions that were compiled with it."""
    for function in codec._decode.__globals__.values():
        if isinstance(function, FunctionType):
            atheris.instrument_func(function)


def decode_one(data: bytes) -> None:
    if not data:
        return
    codec = CODECS[data[0] % len(CODECS)]
    content = data[1:]
    ours = plain_value = None
    try:
        ours, stop = codec.decode_from(content)
    except XdrError:
        stop = -1
    try:
        plain_value, plain_stop = walk_decoding(codec._root, content, 0, codec._recursive, codec._max_depth)
    except XdrError:
        plain_stop = -1
    # By repr, where a float that is no number equals itself.
    if (stop, repr(ours)) != (plain_stop, repr(plain_value)):
        raise AssertionError(f"{codec}: compiled {ours!r} to {stop}, walked {plain_value!r} to {plain_stop}")
    if stop >= 0 and "nan" not in repr(ours) and codec.encode(ours) != content[:stop]:
        raise AssertionError(f"{codec}: {content[:stop].hex()} is written as {codec.encode(ours).hex()}")


if __name__ == "__main__":
    for one in CODECS:
        instrument(one)
    atheris.Setup([sys.argv[0], "-max_len=600", "-timeout=5", "-rss_limit_mb=1024", *sys.argv[1:]], decode_one)
    atheris.Fuzz()
