"""The one build for all Pythons from 3.11 on, made by a later one than runs it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ipckit
from tests.pythons import asked, candidates

NATIVE = Path(ipckit.__file__).parent.parent / "native"
HEADERS = "import sysconfig; print(sysconfig.get_path('include'))"
RUN = """
import importlib.util, sys
import ipckit

spec = importlib.util.spec_from_file_location("ipckit._lane", sys.argv[1])
sys.modules[spec.name] = ipckit._lane = lane = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lane)
from ipckit.sync import Event

with Event.create() as event:
    before = [sys.getrefcount(each) for each in (None, True, False)]
    for _ in range(10_000):
        event.set()
        event.is_set()
        event.clear()
        event.is_set()
    after = [sys.getrefcount(each) for each in (None, True, False)]
print(*(now - then for now, then in zip(after, before)))
"""


def later_headers() -> Path | None:
    """Where the first Python after 3.11 has its headers, of those of this machine."""
    found: list[tuple[int, Path]] = []
    for python in candidates():
        answer = asked(python)
        if answer and int(answer[1]) > 11 and answer[3] == "-":
            done = subprocess.run([python, "-c", HEADERS], capture_output=True, text=True, timeout=60, check=True)
            found.append((int(answer[1]), Path(done.stdout.strip())))
    return next((folder for _, folder in sorted(found) if (folder / "Python.h").exists()), None)


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="only 3.11 has this ABI, and counts who refers to None")
def test_no_reference_to_none_is_lost_where_a_later_python_built_it(tmp_path: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    headers = later_headers()
    if not compiler or not headers or not NATIVE.is_dir():
        pytest.skip("needs the sources, a C compiler, and the headers of a Python after 3.11")
    sources = [str(path) for folder in ("lane", "src") for path in sorted((NATIVE / folder).glob("*.c"))]
    flags = ["-std=c11", "-shared", "-fPIC", "-D_GNU_SOURCE", "-DPy_LIMITED_API=0x030B0000"]
    built = tmp_path / "_lane.abi3.so"
    subprocess.run(
        [compiler, *flags, f"-I{NATIVE / 'include'}", f"-I{headers}", "-o", built, *sources], check=True, timeout=300
    )
    done = subprocess.run([sys.executable, "-c", RUN, built], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert all(abs(int(number)) < 1_000 for number in done.stdout.split()), done.stdout
