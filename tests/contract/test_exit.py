"""Handles that are open when the interpreter ends are closed, and nothing goes wrong as it takes itself apart."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ipckit._handle import Handle, NamedHandle
from ipckit.sysv._handle import SysvHandle
from tests.contract.shapes import make, unlink_if_there
from tests.contract.subjects import SUBJECTS

HOMES = {"the main module, which goes first": "__main__", "their own modules": "", "one that goes last": "builtins"}


def keep_one_of_each(home: str) -> None:
    """Leave a handle of every subject in the module *home*, or in that of its class; print those that have names."""
    named: dict[str, str] = {}
    try:
        for subject in SUBJECTS:
            made = make(subject)
            if subject.naming:
                named[subject.title] = made[0].name
            setattr(sys.modules[home or subject.cls.__module__], f"kept {subject}", made)
            for companion in made[1:]:
                if isinstance(companion, NamedHandle):  # `close` would have destroyed it
                    companion.unlink()
                elif isinstance(companion, SysvHandle):
                    companion.remove()
                elif not isinstance(companion, Handle):  # a process
                    companion.close()
    finally:
        print(json.dumps(named))


@pytest.mark.parametrize("home", HOMES.values(), ids=HOMES)
def test_handles_that_are_kept_to_the_end(home: str) -> None:
    code = f"from tests.contract.test_exit import keep_one_of_each; keep_one_of_each({home!r})"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    names = json.loads(done.stdout)
    for subject in SUBJECTS:
        if subject.title in names:
            unlink_if_there(subject, names[subject.title])
    assert (done.returncode, done.stderr) == (0, "")
