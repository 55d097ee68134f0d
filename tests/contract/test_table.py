"""The table itself: it has every handle class, every method of each, and hardly an exemption."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, Any

import pytest

import ipckit
from ipckit._handle import Handle, NamedHandle
from ipckit.sysv._handle import SysvHandle
from tests.contract import test_life, test_names, test_travel, test_waits
from tests.contract.shapes import Subject
from tests.contract.subjects import NAMED, SUBJECTS, WAITS

if TYPE_CHECKING:
    from collections.abc import Iterator

GENERIC = {"close", "closed", "id", "key", "name", "unlink", "remove", "pollable", "packet"}
MOST_EXEMPT = 0.05

every = pytest.mark.parametrize("subject", SUBJECTS, ids=str)


def all_handle_classes() -> set[type[Handle]]:
    """Every subclass in the package, once all of its modules are imported."""
    for module in pkgutil.walk_packages(ipckit.__path__, "ipckit."):
        if not module.name.endswith("_main"):  # __main__ and the mains of child processes
            importlib.import_module(module.name)

    def below(cls: type[Handle]) -> Iterator[type[Handle]]:
        for sub in cls.__subclasses__():
            yield sub
            yield from below(sub)

    return {cls for cls in below(Handle) if cls.__module__.startswith("ipckit.")}


def is_base(cls: type[Handle]) -> bool:
    """A private class, or one of a private module, that only others build on: one of those is in the table."""
    private = cls.__module__.rpartition(".")[2].startswith("_") or cls.__name__.startswith("_")
    return private and any(subject.cls is not cls and issubclass(subject.cls, cls) for subject in SUBJECTS)


def is_inner(cls: type[Handle]) -> bool:
    """What a drop-in is made of, and nobody else sees: test_compat_synchronize.py, test_queue.py."""
    return cls.__module__ in {"ipckit.compat._arena", "ipckit.compat._placed"} or cls.__name__ in {"Quiet", "QueueRing"}


def test_every_handle_class_is_in_the_table() -> None:
    classes = all_handle_classes()
    assert len(classes) > 15
    listed = {subject.cls for subject in SUBJECTS}
    missing = sorted(cls.__qualname__ for cls in classes - listed if not is_base(cls) and not is_inner(cls))
    assert missing == [], "add an entry to tests/contract/subjects.py"


def test_discovery_would_see_a_class_that_is_not_in_the_table() -> None:
    stranger = type("Stranger", (Handle,), {"__module__": "ipckit.stranger"})
    assert stranger in all_handle_classes()
    assert not is_base(stranger)
    del stranger


def public_members(cls: type[Any]) -> Iterator[tuple[str, object]]:
    for name in dir(cls):
        member = inspect.getattr_static(cls, name)
        if name.startswith("_") or isinstance(member, (classmethod, staticmethod)) or name in GENERIC:
            continue
        yield name, member


@every
def test_every_method_and_property_is_used_after_close_or_is_a_constant(subject: Subject) -> None:
    members = {name for name, _ in public_members(subject.cls)}
    if hasattr(subject.cls, "__iter__"):
        members.add("__iter__")
    assert members == set(subject.calls) | subject.constants
    assert not set(subject.calls) & subject.constants


@every
def test_every_method_with_a_timeout_has_its_waits(subject: Subject) -> None:
    waiting = {
        name
        for name, member in public_members(subject.cls)
        if (inspect.isfunction(member) or inspect.ismethoddescriptor(member))  # the commonest are in C
        and "timeout" in inspect.signature(member).parameters
        and name != "settimeout"
    }
    of_class = {wait.verb for other in SUBJECTS if other.cls is subject.cls for wait in other.waits}
    assert waiting == of_class | subject.never_waits


@every
def test_traits_are_those_of_the_class(subject: Subject) -> None:
    nameless = subject.title.endswith(("-anonymous", "-within"))
    assert (subject.naming is not None) == (issubclass(subject.cls, (NamedHandle, SysvHandle)) and not nameless)
    assert (subject.rival is not None) == hasattr(subject.cls, "acquire")


def test_few_are_exempt_and_each_says_why() -> None:
    modules = (test_life, test_names, test_travel, test_waits)
    tests = {name for module in modules for name in vars(module) if name.startswith("test_")}
    exempt = [(str(subject), test, reason) for subject in SUBJECTS for test, reason in subject.exempt.items()]
    assert {test for _, test, _ in exempt} <= tests
    assert all(len(reason.split()) >= 4 for _, _, reason in exempt)
    runs = sum(
        len(set_) * count_of(module) for module, set_ in zip(modules, (SUBJECTS, NAMED, SUBJECTS, WAITS), strict=True)
    )
    assert len(exempt) <= MOST_EXEMPT * runs


def count_of(module: Any) -> int:
    return sum(name.startswith("test_") for name in vars(module))
