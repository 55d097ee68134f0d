"""Describe the C core to cffi. Nothing is written twice: the declarations are the marked regions of the headers.

Two modules come of the same sources. `ipckit._native` releases the GIL around each call: for calls that may block.
`ipckit._native_quick` keeps it: for calls that cannot block, which would otherwise hand the GIL to any busy thread
for a whole switch interval.
"""

from __future__ import annotations

import re
from pathlib import Path

from cffi import FFI

NATIVE = Path(__file__).resolve().parent
ROOT = NATIVE.parent
HEADERS = sorted((NATIVE / "include" / "ipckit").glob("*.h"))
SOURCES = [str(path.relative_to(ROOT)) for path in sorted((NATIVE / "src").glob("*.c"))]

TYPES = re.compile(r"/\* cffi: types \*/(.*?)/\* cffi: end \*/", re.DOTALL)
FUNCTIONS = re.compile(r"/\* cffi: begin \*/(.*?)/\* cffi: end \*/", re.DOTALL)
OPAQUE = re.compile(r"^struct (\w+);$", re.MULTILINE)

KEEP_THE_GIL = """
#undef Py_BEGIN_ALLOW_THREADS
#undef Py_END_ALLOW_THREADS
#define Py_BEGIN_ALLOW_THREADS {
#define Py_END_ALLOW_THREADS }
"""


def regions(pattern: re.Pattern[str]) -> str:
    """What stands between the markers, in all headers."""
    return "\n".join(region for header in HEADERS for region in pattern.findall(header.read_text()))


def types() -> str:
    """The types region; an opaque struct becomes one whose size the compiler tells, so that Python can allocate it."""
    return OPAQUE.sub(r"struct \1 { ...; };", regions(TYPES))


def builder(module: str, preamble: str) -> FFI:
    """A cffi builder of the functions of all headers."""
    ffi = FFI()
    if preamble:
        ffi.include(blocking)  # one set of types: a pointer made by one module goes into the other
    else:
        ffi.cdef(types())
    ffi.cdef(regions(FUNCTIONS))
    includes = "\n".join(f'#include "ipckit/{header.name}"' for header in HEADERS)
    ffi.set_source(
        module,
        preamble + includes,
        sources=SOURCES,
        include_dirs=[str((NATIVE / "include").relative_to(ROOT))],
        define_macros=[("_GNU_SOURCE", None)],
        extra_compile_args=["-std=c11", "-O2", "-fvisibility=hidden"],
        depends=[str(header.relative_to(ROOT)) for header in HEADERS],
    )
    return ffi


blocking = builder("ipckit._native", "")
quick = builder("ipckit._native_quick", KEEP_THE_GIL)
