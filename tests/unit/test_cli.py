"""The command line, as a user calls it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

import ipckit
from ipckit.bench.suite import load
from ipckit.cli import main
from tests.cli.calling import Calling

ROOT = Path(ipckit.__file__).parent.parent


def python(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def call(*arguments):
    return python("import sys; from ipckit.cli import main; sys.exit(main(sys.argv[1:]))", *arguments)


def test_version():
    done = call("--version")
    assert (done.returncode, done.stdout) == (0, f"ipckit {ipckit.__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["brench"],
        ["bench", "--sizes", "8,x"],
        ["bench", "--sizes", ""],
        ["bench", "--placement", "moon"],
        ["bench", "--repeats", "0"],
        ["bench", "--seconds", "nan"],
        ["bench", "--with", "x.json"],
        ["bench", "--json", "-", "--csv", "-"],
        ["bench", "--csv", "-", "--html", "-"],
        ["bench", "--also", "no_such_module"],
    ],
)
def test_wrong_usage_is_status_2_and_no_traceback(arguments, capsys):
    with contextlib.closing(Calling(capsys)) as ipckit_command:
        done = ipckit_command(*arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err


def test_only_names_the_rows_when_none_matches():
    done = call("bench", "--only", "mp.*,nothing")
    assert done.returncode == 2
    assert "no row is called 'nothing'; there are: " in done.stderr
    assert "mp.Queue" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_list_names_every_row_and_measures_nothing():
    done = call("bench", "--list")
    assert done.returncode == 0
    listed = {line.split("  ")[0] for line in done.stdout.splitlines()}
    assert {"Pipe", "SpscRing", "mp.Queue", "mp.Lock", "TCP (bare)", "sysv msg (bare)"} <= listed
    assert call("bench", "--list", "--only", "MP.lock").stdout.split()[0] == "mp.Lock"


def test_every_row_can_be_loaded_and_has_a_name_of_its_own():
    rows, missing = load()
    assert missing == {}
    names = [row.name for row in rows]
    assert len(set(names)) == len(names)
    assert all(row.about and row.family and row.measures and len(row.name) <= 20 for row in rows)


def test_a_missing_old_report_is_found_before_anything_is_measured(tmp_path):
    done = call("bench", "--compare", str(tmp_path / "none.json"))
    assert done.returncode == 1
    assert "none.json" in done.stderr
    (tmp_path / "bad.json").write_text("{}")
    done = call("bench", "--compare", str(tmp_path / "bad.json"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "not a report" in done.stderr


def test_a_result_that_cannot_be_written_is_found_before_anything_is_measured(tmp_path):
    done = call("bench", "--json", str(tmp_path / "no" / "such" / "folder.json"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "folder.json" in done.stderr


@pytest.mark.parametrize("option", ["--json", "--csv", "--only", "--only=,"])
def test_a_variable_of_the_shell_that_is_empty_is_found_before_anything_is_measured(option, capsys):
    with contextlib.closing(Calling(capsys)) as ipckit_command:
        done = ipckit_command("bench", option, *([] if "=" in option else [""]))
    assert (done.status, done.out) == ((2, "") if "only" in option else (1, ""))
    assert done.err


def test_without_rich_one_sentence_says_what_to_install():
    done = python("import sys; sys.modules['rich'] = None; from ipckit.cli import main; sys.exit(main(['bench']))")
    assert done.returncode == 2
    assert done.stderr == "ipckit: the table needs the package rich: pip install 'ipckit[cli]'\n"


def test_the_command_line_imports_nothing_heavy_before_it_knows_the_command():
    code = "import sys, ipckit.cli; print([m for m in ('argparse', 'rich', 'posix_ipc', 'numpy') if m in sys.modules])"
    assert python(code).stdout == "[]\n"


def test_help_fits_a_terminal(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["bench", "--help"])
    assert caught.value.code == 0
    assert "--quick" in capsys.readouterr().out
