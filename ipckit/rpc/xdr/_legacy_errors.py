"""The exceptions of the module xdrlib."""

from __future__ import annotations

from ipckit.errors import IPCError

__all__ = ["ConversionError", "Error"]


class Error(IPCError):
    """`Packer` or `Unpacker` failed.

    Attributes:
        msg: why.
    """

    def __init__(self, msg: str) -> None:
        super().__init__(msg)
        self.msg = msg

    def __repr__(self) -> str:
        return repr(self.msg)


class ConversionError(Error):
    """A value has no encoding in the type that it was packed as, or the bytes have no value in theirs."""
