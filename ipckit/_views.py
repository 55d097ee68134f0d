"""Typed views of a `buf`: memoryviews of numbers, ctypes structures, numpy arrays."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import ctypes
    from collections.abc import Sequence

    from numpy import dtype
    from numpy.typing import DTypeLike, NDArray

T = TypeVar("T", bound="ctypes.Structure | ctypes.Union | ctypes.Array[Any] | ctypes._SimpleCData[Any]")


class Views:
    """What a class with a `buf` can show of it.

    A view is the memory itself, no copy. It keeps the memory where it is: while one is alive, `close` and whatever
    else would move the memory raise BufferError. Delete it, or ``release()`` a memoryview.
    """

    __slots__ = ()

    @property
    def buf(self) -> memoryview:
        """The memory as bytes."""
        raise NotImplementedError

    def view(self, format: str = "B", *, offset: int = 0, count: int | None = None) -> memoryview[Any]:
        """Return a memoryview of numbers of one type.

        Args:
            format: one letter of the struct module, in native size: ``"d"`` double, ``"q"`` 64-bit integer.
            offset: bytes from the start to the first one.
            count: how many; None for as many as there are.

        Raises:
            ValueError: *format* is none, or the memory ends before.
        """
        buf = self.buf
        try:
            item = memoryview(b"").cast(format).itemsize  # type: ignore[call-overload]
        except ValueError:
            raise ValueError(f"format must be one letter of the struct module, such as 'd', not {format!r}") from None
        room = _room(buf, offset)
        count = room // item if count is None else count
        if not 0 <= count <= room // item:
            raise ValueError(f"count must be 0 to {room // item}, as many as there is room for, not {count}")
        return buf[offset : offset + count * item].cast(format)  # type: ignore[call-overload,no-any-return]

    def structure(self, cls: type[T], *, offset: int = 0) -> T:
        """Return the memory as a ctypes structure, union or array; without pointers, which mean nothing to others.

        Args:
            cls: such as a subclass of ctypes.Structure, or ``Point * 10``.
            offset: bytes from the start.

        Raises:
            ValueError: the memory ends before.
            TypeError: *cls* is none of ctypes, or the memory is read-only, which ctypes has no notion of:
                ``cls.from_buffer_copy(handle.buf)`` copies it.
        """
        buf = self.buf
        room = _room(buf, offset)
        if buf.readonly:
            raise TypeError("ctypes needs memory that it may write; take a copy: cls.from_buffer_copy(handle.buf)")
        ctype: Any = cls
        try:
            return ctype.from_buffer(buf, offset)  # type: ignore[no-any-return]
        except ValueError as error:
            raise ValueError(f"cls must fit in the {room} bytes from offset {offset} on: {error}") from None
        except AttributeError:
            raise TypeError(f"cls must be a ctypes structure, union, array or number, not {cls!r}") from None

    def array(self, dtype: DTypeLike, shape: int | Sequence[int] | None = None, *, offset: int = 0) -> NDArray[Any]:
        """Return the memory as a numpy array, in C order; read-only where the memory is.

        Args:
            dtype: numpy's word for the type of the elements.
            shape: None for one dimension of as many elements as there are. An element that is itself an array, as with
                the dtype ``"(3,)f8"``, adds its own dimensions.
            offset: bytes from the start.

        Raises:
            ImportError: numpy is not installed.
            ValueError: the memory ends before, or *dtype* holds Python objects.
        """
        buf = self.buf
        try:
            import numpy as np
        except ImportError:
            raise ImportError("array() needs the package numpy: pip install 'ipckit[numpy]'", name="numpy") from None
        if shape is None:
            try:
                return np.frombuffer(buf, dtype, -1, offset)
            except (TypeError, ValueError):
                pass  # below it is known why, and whether it can be done otherwise
        kind = np.dtype(dtype)
        if kind.hasobject or not kind.itemsize:
            raise ValueError(f"dtype must be of plain numbers or bytes of a fixed size, not {kind}")
        wanted, size = _extent(kind, shape, _room(buf, offset), offset)
        # Not ndarray(buffer=...): that keeps the mapping object, and not the mapping, alive.
        return np.asarray(buf[offset : offset + size]).view(kind.base).reshape((*wanted, *kind.shape))


def _extent(kind: dtype[Any], shape: int | Sequence[int] | None, room: int, offset: int) -> tuple[tuple[int, ...], int]:
    """The lengths of an array, and its bytes."""
    if shape is None:
        shape = room // kind.itemsize
    wanted = (operator.index(shape),) if hasattr(shape, "__index__") else tuple(shape)
    size = kind.itemsize
    for length in wanted:
        if length < 0:
            raise ValueError(f"shape must have no negative length: {wanted}")
        size *= length
    if size > room:
        raise ValueError(f"shape must fit in {room} bytes, from offset {offset} on; {wanted} of {kind} is {size}")
    return wanted, size


def _room(buf: memoryview, offset: int) -> int:
    if not 0 <= offset <= buf.nbytes:
        raise ValueError(f"offset must be 0 to {buf.nbytes}, where the memory ends, not {offset}")
    return buf.nbytes - offset
