"""A list in a segment, laid out as the standard library does.

::

    0            number of items n                               "q"
    8            offsets of the items in the data area, n + 1    "q" each, the last one is the end of the area
    8 * (n + 2)  data area
    then         the format of each item, as of struct           8 bytes each, n
    then         what kind of thing each is                      1 byte each, n: 0 number, 1 str, 2 bytes, 3 None
"""

from __future__ import annotations

import re
import struct
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from ipckit.compat._segment import SharedMemory
from ipckit.errors import ClosedError, LayoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from typing_extensions import Self

T = TypeVar("T", int, float, bool, str, bytes, None)

_ALIGNMENT = 8
_NUMBER, _STR, _BYTES, _NONE = range(4)
_FORMATS: dict[type, str] = {int: "q", float: "d", bool: "xxxxxxx?", type(None): "xxxxxx?x"}
_TEXT = re.compile(r"(\d{1,7})s")
_FORMAT_ROOM = 8  # bytes


class ShareableList(Generic[T]):
    """As `multiprocessing.shared_memory.ShareableList`; the lists of the one can be attached to by the other.

    A list of fixed length that several processes see and change: of int (64 bits), float, bool, str, bytes and None. A
    str or bytes may be replaced by one that fits in the room of the first, which is a multiple of 8 bytes; NULs at
    its end are lost. To read or to assign an item is not atomic: use a lock.

    >>> from ipckit.compat.shared_memory import ShareableList
    >>> numbers = ShareableList([1, 2.5, "three", None])
    >>> other = ShareableList(name=numbers.shm.name)
    >>> other[0] = 7
    >>> list(numbers)
    [7, 2.5, 'three', None]
    >>> other.shm.close()
    >>> numbers.shm.close()
    >>> numbers.shm.unlink()
    """

    shm: SharedMemory
    """The segment, to close and to unlink."""

    @overload
    def __init__(self, sequence: None = None, *, name: str | None = None) -> None: ...
    @overload
    def __init__(self, sequence: Iterable[T], *, name: str | None = None) -> None: ...
    def __init__(self, sequence: Iterable[T] | None = None, *, name: str | None = None) -> None:
        """Make a list of what *sequence* has, in a new segment; or, with a *name* only, attach to the one there.

        Raises:
            TypeError: an item is of a type that can't be stored.
            ValueError: a str or bytes has more than 9,999,991 bytes.
            LayoutError: there is a segment of that name, and no list in it.
        """
        if sequence is None and name is not None:
            self._attach(SharedMemory(name))
            return
        items = [_packed(item) for item in sequence or ()]
        offsets = list(accumulate((room for _, _, room, _ in items), initial=0))
        head = struct.pack(f"q{len(offsets)}q", len(items), *offsets)
        data = b"".join(struct.pack(form, value) for form, value, _, _ in items)
        forms = b"".join(form.encode().ljust(_FORMAT_ROOM, b"\0") for form, _, _, _ in items)
        content = head + data + forms + bytes(kind for _, _, _, kind in items)
        self._attach(SharedMemory._holding(name, content))

    def _attach(self, shm: SharedMemory) -> None:
        self.shm = shm
        try:
            (length,) = struct.unpack_from("q", shm.buf, 0)
            if not 0 <= length <= shm.size // _ALIGNMENT:
                raise ValueError
            self._offsets: list[int] = list(struct.unpack_from(f"{length + 1}q", shm.buf, 8))
            ordered = self._offsets[0] == 0 and all(start < end for start, end in pairwise(self._offsets))
            if not ordered or self._kinds_start() + length > shm.size:
                raise ValueError
        except (struct.error, ValueError):
            name = shm.name
            shm.close()
            raise LayoutError(f"{name!r} has no ShareableList") from None

    def _data_start(self) -> int:
        return 8 * (len(self._offsets) + 1)

    def _forms_start(self) -> int:
        return self._data_start() + self._offsets[-1]

    def _kinds_start(self) -> int:
        return self._forms_start() + _FORMAT_ROOM * len(self)

    def _buf(self) -> memoryview:
        buf = self.shm.buf
        if buf is None:
            raise ClosedError("the segment of this ShareableList is closed")
        return buf

    def _form(self, position: int) -> str:
        """The format of an item, which another process may have written: one of ours, within the item's room."""
        raw = struct.unpack_from("8s", self._buf(), self._forms_start() + _FORMAT_ROOM * position)[0]
        form: str = raw.rstrip(b"\0").decode("ascii", "replace")
        room = self._offsets[position + 1] - self._offsets[position]
        text = _TEXT.fullmatch(form)
        if (int(text[1]) if text else _ALIGNMENT) > room or not (text or form in _FORMATS.values()):
            raise LayoutError(f"item {position} of {self.shm.name!r} has the format {form!r}")
        return form

    def _position(self, position: int, what: str) -> int:
        found = position + len(self) if position < 0 else position
        if not 0 <= found < len(self):
            raise IndexError(f"{what} out of range")
        return found

    def __getitem__(self, position: int) -> T:
        position = self._position(position, "index")
        (value,) = struct.unpack_from(self._form(position), self._buf(), self._data_start() + self._offsets[position])
        kind = self._buf()[self._kinds_start() + position]
        item: Any = value
        if kind == _NONE:
            item = None
        elif kind in {_STR, _BYTES}:
            try:
                item = value.rstrip(b"\0")
                item = item.decode() if kind == _STR else item
            except (AttributeError, UnicodeDecodeError):  # a number, or not UTF-8
                raise LayoutError(f"item {position} of {self.shm.name!r} is no text") from None
        return item  # type: ignore[no-any-return]

    def __setitem__(self, position: int, value: T) -> None:
        position = self._position(position, "assignment index")
        form, packed, _, kind = _packed(value)
        room = self._offsets[position + 1] - self._offsets[position]
        if isinstance(packed, bytes):
            if len(packed) > room:
                raise ValueError("bytes/str item exceeds available storage")
            form = f"{room}s"
        struct.pack(form, packed)  # what that refuses must change nothing
        buf = self._buf()
        struct.pack_into("8s", buf, self._forms_start() + _FORMAT_ROOM * position, form.encode())
        buf[self._kinds_start() + position] = kind
        struct.pack_into(form, buf, self._data_start() + self._offsets[position], packed)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __iter__(self) -> Iterator[T]:
        for position in range(len(self)):
            yield self[position]

    def __repr__(self) -> str:
        try:
            items = repr(list(self))
        except ClosedError:
            items = "closed"
        return f"{type(self).__name__}({items}, name={self.shm.name!r})"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _reattached, (type(self), self.shm)

    @property
    def format(self) -> str:
        """The formats of all items, as of the struct module."""
        return "".join(self._form(position) for position in range(len(self)))

    def count(self, value: T) -> int:
        """How many items equal *value*."""
        return sum(value == item for item in self)

    def index(self, value: T) -> int:
        """The position of the first item that equals *value*.

        Raises:
            ValueError: there is none.
        """
        for position, item in enumerate(self):
            if value == item:
                return position
        raise ValueError(f"{value!r} not in this container")

    @classmethod
    def _of(cls, shm: SharedMemory) -> Self:
        found = cls.__new__(cls)
        found._attach(shm)
        return found


def _reattached(cls: type[ShareableList[Any]], shm: SharedMemory) -> ShareableList[Any]:
    return cls._of(shm)


def _packed(item: Any) -> tuple[str, Any, int, int]:
    """The format of *item*, what to pack, the room it takes, and its kind."""
    if isinstance(item, (str, bytes)):
        data = item.encode() if isinstance(item, str) else item
        room = _ALIGNMENT * (len(data) // _ALIGNMENT + 1)
        if len(form := f"{room}s") > _FORMAT_ROOM:
            raise ValueError(f"a str or bytes must have at most 9,999,991 bytes, not {len(data)}")
        return form, data, room, _STR if isinstance(item, str) else _BYTES
    if type(item) not in _FORMATS:
        raise TypeError(f"an item must be int, float, bool, str, bytes or None, not {type(item).__name__}")
    return _FORMATS[type(item)], item, _ALIGNMENT, _NONE if item is None else _NUMBER
