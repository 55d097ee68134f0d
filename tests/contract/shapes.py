"""What the contract suite knows about a class: a subject, its waits, its naming; and what is done with them.

The functions of a subject take the list that its `make` returned: the handle under test, then its companions.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ipckit.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = b"contract"
SLEEP = ("clock_nanosleep", "nanosleep", "select", "pselect6")  # where time.sleep waits, from one Python to another
Made = list[Any]


def nothing(_: Made) -> None:
    pass


@dataclass(frozen=True)
class Wait:
    """A method that waits: how to bring it to that, and what lets it complete."""

    verb: str
    call: Callable[[Made, float | None], object]
    block: Callable[[Made], object] = nothing
    complete: Callable[[Made], object] = nothing
    syscalls: tuple[str, ...] = ("poll",)

    def __str__(self) -> str:
        return self.verb


@dataclass(frozen=True)
class Naming:
    """What names of a class look like, and what belongs to them."""

    argument: str  # as the errors call it
    new: Callable[[], str]
    stat: Callable[[Any], os.stat_result]  # of the object behind a handle
    bad: dict[str, object]  # why: name
    create: dict[str, Any] = field(default_factory=dict)
    unlink: str = "unlink"  # the method of a handle that destroys the name,
    unlink_name: str = "unlink_name"  # that of the class,
    on_close: str = "unlink_on_close"  # and the argument of `create` that has `close` do it
    outlives: bool = True  # whether handles work on without the name


@dataclass(frozen=True)
class Subject:
    """A class under the contract."""

    title: str
    cls: type[Any]
    make: Callable[[], Made]
    calls: dict[str, Callable[[Any], object]]  # each public method and property, as used on a closed handle
    waits: tuple[Wait, ...] = ()
    there: Callable[[Any], object] = nothing  # in a child that was given the handle; its result ...
    here: Callable[[Made, Any], bool] = lambda made, result: False  # noqa: ARG005 - ... is checked here
    before: Callable[[Made], object] = nothing  # done here first
    naming: Naming | None = None
    rival: Callable[[Made], Any] | None = None  # of a lock: make it free, and tell who else wants it
    addressed: bool = False  # nameless, but pickled as the path of a file
    constants: frozenset[str] = frozenset()  # what a closed handle still tells
    never_waits: frozenset[str] = frozenset()  # methods with a timeout that can't be brought to wait by this suite
    exempt: dict[str, str] = field(default_factory=dict)  # test: the reason why it does not apply

    def __str__(self) -> str:
        return self.title


def until_full(attempt: Callable[[], object]) -> None:
    while attempt():
        pass


def drain(attempt: Callable[[], object]) -> None:
    while attempt() is not None:
        pass


def keep(made: Made, companion: Any) -> None:
    made.append(companion)


def posix_naming(longest: int, stat: Callable[[Any], os.stat_result], **create: Any) -> Naming:
    return Naming(
        "name",
        new=lambda: f"/ipckit-contract-{secrets.token_hex(8)}",
        stat=stat,
        bad={
            "no slash": "contract",
            "slash alone": "/",
            "inner slash": "/a/b",
            "NUL": "/a\0b",
            "directory": "/..",
            "too long": "/" + "x" * (longest + 1),
            "too long in bytes": "/" + "\u00fc" * (longest // 2 + 1),
            "empty": "",
            "bytes": b"/contract",
            "number": 5,
        },
        create=create,
    )


def sysv_naming(mode: Callable[[Any], int], **create: Any) -> Naming:
    """Of names that are hashed to a key; *mode* gives an object's permission bits."""
    of_names = posix_naming(255, lambda h: SimpleNamespace(st_mode=mode(h)), **create)
    return replace(
        of_names,
        argument="key",
        bad={**{why: bad for why, bad in of_names.bad.items() if why != "number"}, "no int": 5.0, "bool": True},
        unlink="remove",
        unlink_name="remove_key",
        on_close="remove_on_close",
        outlives=False,
    )


PATHS = Naming(
    "path",
    new=lambda: f"/tmp/ipckit-contract-{secrets.token_hex(8)}",  # other users can search it, wherever TMPDIR is
    stat=lambda h: os.stat(h.name),
    bad={"NUL": "/tmp/a\0b", "empty": "", "bytes": b"/tmp/contract", "number": 5},
)


def named(cls: type[Any], naming: Naming) -> Callable[[], Made]:
    return lambda: [cls.create(naming.new(), **naming.create)]


def make(subject: Subject) -> Made:
    """The handle under test and its companions; `dispose` ends them."""
    return subject.make()


def dispose(subject: Subject, made: Made) -> None:
    """Close all, and remove the name if it is there."""
    for handle in made:
        handle.close()
    if subject.naming and made:
        unlink_if_there(subject, made[0].name)


def unlink(subject: Subject, handle: Any) -> None:
    """Destroy the name, by the handle."""
    assert subject.naming is not None
    getattr(handle, subject.naming.unlink)()


def unlink_name(subject: Subject, name: str) -> None:
    """Destroy the name, without a handle."""
    assert subject.naming is not None
    getattr(subject.cls, subject.naming.unlink_name)(name)


def unlink_if_there(subject: Subject, name: str) -> None:
    try:
        unlink_name(subject, name)
    except NotFoundError:
        pass


def exists(subject: Subject, name: str) -> bool:
    """Whether an object of that name can be opened."""
    try:
        subject.cls.open(name).close()
    except NotFoundError:
        return False
    return True
