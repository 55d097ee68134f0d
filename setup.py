"""The part of the build that pyproject.toml cannot say: the C core, and what to do where it cannot be built."""

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# The stable ABI has buffers from 3.11 on, and none for a free-threaded Python. The others get builds of their own.
STABLE = sys.version_info >= (3, 11) and not sysconfig.get_config_var("Py_GIL_DISABLED")


class ExplainingBuild(build_ext):
    """build_ext that says in a sentence what is missing."""

    def run(self) -> None:
        if not sys.platform.startswith("linux"):
            raise SystemExit(f"ipckit works on Linux only: it wraps its kernel's primitives (this is {sys.platform}).")
        compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
        if not shutil.which(compiler):
            other = next(filter(shutil.which, ("cc", "gcc", "clang")), None)
            advice = "install gcc (Debian, Ubuntu: apt-get install gcc; Fedora: dnf install gcc)"
            raise SystemExit(
                f"ipckit needs a C compiler to build its core, and there is no {compiler!r}: "
                f"{f'build it with CC={other}' if other else advice}."
            )
        if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
            raise SystemExit(
                "ipckit needs the header Python.h to build its core: install the development package of this Python "
                "(Debian, Ubuntu: apt-get install python3-dev; Fedora: dnf install python3-devel)."
            )
        super().run()


NATIVE = Path("native")

lane = Extension(
    "ipckit._lane",
    sources=[str(path) for folder in ("lane", "src") for path in sorted((NATIVE / folder).glob("*.c"))],
    depends=[str(path) for path in [*NATIVE.glob("include/ipckit/*.h"), *NATIVE.glob("lane/*.h")]],
    include_dirs=[str(NATIVE / "include")],
    define_macros=[("_GNU_SOURCE", None), *([("Py_LIMITED_API", "0x030B0000")] if STABLE else [])],
    py_limited_api=STABLE,
    extra_compile_args=["-std=c11", "-O2", "-fvisibility=hidden"],
)

setup(
    ext_modules=[lane],
    cmdclass={"build_ext": ExplainingBuild},
    cffi_modules=["native/build_ffi.py:blocking", "native/build_ffi.py:quick"],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE else {},
)
