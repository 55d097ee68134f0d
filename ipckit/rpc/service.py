"""What a server offers: one version of a program, as an abstract class that `ipckit rpcgen` writes or you do."""

from __future__ import annotations

import inspect
from abc import ABC
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, Union

from ipckit._arguments import check_int
from ipckit.rpc.procedure import NULL, Procedure

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

T = TypeVar("T")
Returns = Union[T, Awaitable[T]]  # noqa: UP007 - Python 3.10 can't subscript the other spelling
"""What a method gives that may be a coroutine function: a class that implements it says which it is."""


class Service(ABC):
    """One version of a program: a method for each procedure, named by `PROCEDURES`.

    A method gets the arguments by position, and returns the result or, in a server of mode asyncio, may be a coroutine
    function. One that has a keyword-only parameter `call` also gets the `ipckit.rpc.Call`: who asks; an argument of the
    procedure may have that name as well. The server's documentation says from how many threads the methods are called;
    the class itself shares nothing.

    >>> class Adder(Service):
    ...     PROGRAM = 0x20000001
    ...     VERSION = 1
    ...     PROCEDURES = (Procedure(1, "add", (int, int), int),)
    ...
    ...     def add(self, a: int, b: int) -> int:
    ...         return a + b
    >>> procedure, method = Adder().handlers()[1]
    >>> method(2, 3)
    5

    Attributes:
        PROGRAM: the number of the program; 0x20000000 to 0x3fffffff are for users.
        VERSION: the number of the version.
        NAME: what the program is called in its file.
        PROCEDURES: procedure 0, which does nothing, is there without being named.
    """

    PROGRAM: ClassVar[int]
    VERSION: ClassVar[int]
    NAME: ClassVar[str] = ""
    PROCEDURES: ClassVar[tuple[Procedure, ...]] = ()

    def as_program(self, program: int) -> Self:
        """This service, which from now on is the program of that number: one of `transient_program`, for callbacks."""
        self.PROGRAM = check_int(program, "program", 0, (1 << 32) - 1, "a number of 32 bits")  # type: ignore[misc]
        return self

    def handlers(self) -> dict[int, tuple[Procedure, Callable[..., Any]]]:
        """For each procedure's number the procedure and the method that serves it.

        Raises:
            TypeError: two procedures have one number, or the class has no method for one.
        """
        found: dict[int, tuple[Procedure, Callable[..., Any]]] = {}
        for procedure in self.PROCEDURES:
            if procedure.number in found:
                raise TypeError(f"{type(self).__name__} has two procedures of number {procedure.number}")
            method = getattr(self, procedure.name, None)
            if not callable(method):
                raise TypeError(f"{type(self).__name__} has no method {procedure.name!r}, which its PROCEDURES name")
            found[procedure.number] = (procedure, method)
        found.setdefault(0, (NULL, _nothing))
        return found


def _nothing() -> None:
    """Procedure 0."""


def takes_call(method: Callable[..., Any]) -> bool:
    """Whether a method of a service has a keyword-only parameter `call`: the others are arguments of its procedure."""
    try:
        parameter = inspect.signature(method).parameters.get("call")
    except (TypeError, ValueError):  # some callables in C do not say what they take
        return False
    return parameter is not None and parameter.kind is parameter.KEYWORD_ONLY
