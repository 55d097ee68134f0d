"""The one build for all Pythons from 3.11 on, made by a later one than runs it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ipckit
from tests.pythons import asked, candidates

NATIVE = Path(ipckit.__file__).parent.parent / "native"
LANE = NATIVE / "lane"
HEADERS = "import sysconfig; print(sysconfig.get_path('include'))"
SOURCE = """
#include "lane.h"

static PyObject *none(PyObject *module, PyObject *unused) { (void)module, (void)unused; Py_RETURN_NONE; }
static PyObject *yes(PyObject *module, PyObject *unused) { (void)module, (void)unused; Py_RETURN_TRUE; }
static PyObject *no(PyObject *module, PyObject *unused) { (void)module, (void)unused; Py_RETURN_FALSE; }

static PyMethodDef methods[] = {
    {"none", none, METH_NOARGS, NULL}, {"yes", yes, METH_NOARGS, NULL}, {"no", no, METH_NOARGS, NULL}, {0},
};
static PyModuleDef_Slot slots[] = {{0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "returning", NULL, 0, methods, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_returning(void)
{
    return PyModuleDef_Init(&module);
}
"""
RUN = """
import sys
from returning import no, none, yes

before = [sys.getrefcount(each) for each in (None, True, False)]
for _ in range(10_000):
    none(), yes(), no()
print(*(sys.getrefcount(each) - then for each, then in zip((None, True, False), before)))
"""

in_source = pytest.mark.skipif(not LANE.is_dir(), reason="installed: the sources are not here")


def later_headers() -> Path | None:
    """Where the first Python after 3.11 has its headers, of those of this machine."""
    found: list[tuple[int, Path]] = []
    for python in candidates():
        answer = asked(python)
        if answer and int(answer[1]) > 11 and answer[3] == "-":
            done = subprocess.run([python, "-c", HEADERS], capture_output=True, text=True, timeout=60, check=True)
            found.append((int(answer[1]), Path(done.stdout.strip())))
    return next((folder for _, folder in sorted(found) if (folder / "Python.h").exists()), None)


@in_source
@pytest.mark.slow
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="only 3.11 has this ABI, and counts who refers to None")
def test_no_reference_to_none_is_lost_where_a_later_python_built_it(tmp_path: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    headers = later_headers()
    if not compiler or not headers:
        pytest.skip("needs a C compiler, and the headers of a Python after 3.11")
    (tmp_path / "returning.c").write_text(SOURCE)
    flags = ["-std=c11", "-shared", "-fPIC", "-D_GNU_SOURCE", "-DPy_LIMITED_API=0x030B0000"]
    folders = [f"-I{folder}" for folder in (NATIVE / "include", LANE, headers)]
    subprocess.run(
        [compiler, *flags, *folders, "-o", tmp_path / "returning.abi3.so", tmp_path / "returning.c"],
        check=True,
        timeout=60,
    )
    done = subprocess.run(
        [sys.executable, "-c", RUN], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert all(abs(int(number)) < 1_000 for number in done.stdout.split()), done.stdout


def includes(name: str) -> set[str]:
    """The headers of the lanes that the file includes, and those include."""
    direct = {
        header
        for header in re.findall(r'^#include "(\w+\.h)"', (LANE / name).read_text(), re.MULTILINE)
        if (LANE / header).exists()
    }
    return direct.union(*(includes(header) for header in direct))


@in_source
def test_what_the_lanes_return_is_counted_as_their_header_says() -> None:
    returning = [file.name for file in LANE.glob("*.c") if "Py_RETURN_" in file.read_text()]
    assert len(returning) > 10
    assert [name for name in returning if "lane.h" not in includes(name)] == []
    assert not any(re.search(r"return Py_(None|True|False)\b", file.read_text()) for file in LANE.glob("*.[ch]"))
