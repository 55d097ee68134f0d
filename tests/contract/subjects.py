"""Every handle class: it gets all the tests of the contract suite by an entry in one of the families."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from tests.contract import families

if TYPE_CHECKING:
    from tests.contract.shapes import Subject

MODULES = [import_module(f"{families.__name__}.{module.name}") for module in iter_modules(families.__path__)]
SUBJECTS: tuple[Subject, ...] = tuple(subject for module in MODULES for subject in module.SUBJECTS)
BY_TITLE = {subject.title: subject for subject in SUBJECTS}
NAMED = tuple(subject for subject in SUBJECTS if subject.naming)
WAITS = tuple((subject, wait) for subject in SUBJECTS for wait in subject.waits)
