"""A ``with`` block that takes and gives back, for an installation without the compiled type of this name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


class Block:
    """What a lock or a semaphore of the kernel derives from: its lane takes at the beginning, and gives at the end."""

    __slots__ = ()

    _lane: Any

    def __enter__(self) -> Self:
        entered: Self = self._lane.enter(self)
        return entered

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lane.leave(self)
