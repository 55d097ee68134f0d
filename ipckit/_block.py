"""A ``with`` block that takes and gives back: the compiled type, or the same in Python where that is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

try:
    from ipckit._lane import Block
except ImportError:

    class Block:  # type: ignore[no-redef]
        """What a lock or a semaphore of the kernel derives from: its lane takes at the beginning, gives at the end."""

        __slots__ = ()

        _lane: Any

        def __enter__(self) -> Self:
            entered: Self = self._lane.enter(self)
            return entered

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> None:
            self._lane.leave(self)


__all__ = ["Block"]
