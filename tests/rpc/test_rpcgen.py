"""`ipckit rpcgen`, as a user calls it."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from ipckit.cli import main
from ipckit.rpc.idl import compile_source

TEXT = "const A = N;\n%int for_c;\n"
NOTE = "note: this line is meant for C, and left out\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.x").write_text('#include "n.x"\n' + TEXT)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "n.x").write_text("const N = 1;\n")
    return tmp_path


def source_of(folder):
    return compile_source((folder / "a.x").read_text(), "a.x", include=["elsewhere"]).source


def test_writes_a_module(folder, capsys):
    assert main(["rpcgen", "a.x", "-o", "a.py", "-I", "elsewhere"]) == 0
    assert (folder / "a.py").read_text() == source_of(folder)
    assert capsys.readouterr() == ("", f"a.x:3:1: {NOTE}")


def test_writes_to_standard_output(folder, capsys):
    assert main(["rpcgen", "-q", "--include=elsewhere", "a.x"]) == 0
    assert capsys.readouterr() == (source_of(folder), "")
    assert main(["rpcgen", "-q", "-Ielsewhere", "-o", "-", "a.x"]) == 0
    assert capsys.readouterr() == (source_of(folder), "")


def test_reads_standard_input(folder, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(TEXT))
    assert main(["rpcgen", "-", "-D", "N=0x20"]) == 0
    out, err = capsys.readouterr()
    assert out.endswith("\nA = 0x20\n")
    assert out.startswith('"""Made from standard input by')
    assert err == f"<stdin>:2:1: {NOTE}"


def test_macros(folder, capsys):
    monkeyed = "#ifdef SHORT\nconst A = SHORT;\n#else\nconst A = 2;\n#endif\n"
    (folder / "b.x").write_text(monkeyed)
    assert main(["rpcgen", "b.x", "-DSHORT"]) == 0
    assert capsys.readouterr().out.endswith("\nA = 1\n")
    assert main(["rpcgen", "b.x"]) == 0
    assert capsys.readouterr().out.endswith("\nA = 2\n")


def test_errors_have_their_lines_and_leave_an_old_module_alone(folder, capsys):
    (folder / "a.py").write_text("old")
    (folder / "a.x").write_text("const A = ;\n")
    assert main(["rpcgen", "a.x", "-o", "a.py"]) == 1
    assert capsys.readouterr() == (
        "",
        """a.x:1:11: expected a number after '=', not ';'
    const A = ;
              ^
ipckit: a.x: 1 error, nothing was written
""",
    )
    (folder / "a.x").write_text("typedef b c;\ntypedef d e;\n")
    assert main(["rpcgen", "a.x", "-o", "a.py"]) == 1
    assert capsys.readouterr().err.endswith("ipckit: a.x: 2 errors, nothing was written\n")
    assert (folder / "a.py").read_text() == "old"


def test_check_writes_nothing(folder, capsys):
    common = ["rpcgen", "-q", "-Ielsewhere", "--check", "a.x"]
    assert main(common) == 0
    assert main([*common, "-o", "a.py"]) == 1
    assert capsys.readouterr() == ("", "ipckit: a.py does not exist\n")
    (folder / "a.py").write_text(source_of(folder))
    assert main([*common, "-o", "a.py"]) == 0
    (folder / "a.py").write_text(source_of(folder) + "\n")
    assert main([*common, "-o", "a.py"]) == 1
    assert "a.py is not what its file would become now" in capsys.readouterr().err
    assert (folder / "a.py").read_text() == source_of(folder) + "\n"


@pytest.mark.parametrize("arguments", [[], ["a.x", "b.x"], ["a.x", "-D", "=3"], ["a.x", "-D", "f(x)=3"], ["a.x", "-o"]])
def test_wrong_usage(folder, arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["rpcgen", *arguments])
    assert ended.value.code == 2
    assert "usage: ipckit" in capsys.readouterr().err


def test_files_that_cannot_be_read_or_written(folder, capsys):
    assert main(["rpcgen", "none.x"]) == 1
    assert "No such file or directory: 'none.x'" in capsys.readouterr().err
    assert main(["rpcgen", "-Ielsewhere", "a.x", "-o", "none/a.py"]) == 1
    assert "No such file or directory: 'none/a.py'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_reader_that_has_seen_enough(folder):
    (folder / "long.x").write_text("".join(f"/* {'long ' * 1000} */\nconst A{n} = {n};\n" for n in range(50)))
    reader, writer = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-m", "ipckit", "rpcgen", "long.x"],
        stdout=writer,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        os.close(writer)
        os.read(reader, 1)
        os.close(reader)
        assert process.communicate(timeout=40)[1] == b""
        assert process.returncode == 0
