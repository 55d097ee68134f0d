"""xdrlib3: the standard library's xdrlib, kept alive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xdrlib3  # type: ignore[import-not-found, unused-ignore]

from ipckit.bench.row import Coder
from ipckit.bench.suite.xdr_codecs import by_hand

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.bench.structs import Struct


class Xdrlib3(Coder):
    """A call for each field."""

    name = "xdrlib3"
    about = "xdrlib3.Packer and Unpacker: a call for each field"
    family = "xdrlib3"

    def calls(self) -> tuple[Callable[[list[Struct]], bytes], Callable[[bytes], list[Struct]]]:
        return by_hand(xdrlib3)
