"""Start children, one or as many as a test needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit.testing.children import Child, ChildFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self


def spawn(function: Callable[..., object], *args: object, **kwargs: object) -> Child:
    """Start a fresh interpreter that runs ``function(*args, **kwargs)``.

    Args:
        function: defined with def at the top level of a module; that module is imported in the child.
        args: pickled; handles may be among them, nameless ones included: their descriptors travel along.
        kwargs: likewise.

    Raises:
        TypeError: a fresh interpreter can't find the function, or an argument can't be pickled.
    """
    return Child(function, args, kwargs)


class Spawn:
    """Starts children as `spawn` does, and at the end closes them all: the body of a fixture.

    >>> with Spawn() as spawn:
    ...     spawn(pow, 2, 5).result()
    32
    """

    def __init__(self) -> None:
        self.children: list[Child] = []

    def __call__(self, function: Callable[..., object], *args: object, **kwargs: object) -> Child:
        """See `spawn`."""
        child = Child(function, args, kwargs)
        self.children.append(child)
        return child

    def close(self) -> None:
        """Close every child.

        Raises:
            ChildFailed: the first one's failure that nobody had observed.
        """
        failures = []
        while self.children:
            try:
                self.children.pop().close()
            except ChildFailed as failure:
                failures.append(failure)
        if failures:
            raise failures[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
