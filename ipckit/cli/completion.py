"""`ipckit completion`: what a shell needs to complete commands, options and addresses of objects."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ipckit.cli.failure import Failure
from ipckit.cli.objects.kinds import GROUPS
from ipckit.cli.terminal.table import Table
from ipckit.inspect import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

DESCRIPTION = """\
Print what a shell needs to complete the commands of ipckit, their options, and the
addresses of the objects that there are. In the shell's start file:

  bash   eval "$(ipckit completion bash)"
  zsh    eval "$(ipckit completion zsh)"     behind compinit
  fish   ipckit completion fish | source"""

SHELLS = ("bash", "zsh", "fish")

_ADDRESSES = ("OBJECT", "ADDRESS", "WORD")
_LIST = "command ipckit ls --columns address --no-header"
_OBJECTS = {
    "bash": "_ipckit_objects",
    "zsh": "_ipckit_objects",
    "fish": "(__ipckit_objects)",
    "preamble": {
        # What stands before the colon is a kind, which is quicker to list than all, and may be a transient one.
        "bash": f"""\
_ipckit_objects() {{
  local kind= object
  [[ "$1" == *:* ]] && kind="${{1%%:*}}"
  while IFS= read -r object; do
    [[ "$object" == "$1"* ]] && printf '%s\\n' "$object"
  done < <({_LIST} $kind 2>/dev/null)
}}""",
        "zsh": f"""\
_ipckit_objects() {{
  local kind=
  [[ "$PREFIX" == *:* ]] && kind="${{PREFIX%%:*}}"
  compadd -- ${{(f)"$({_LIST} $kind 2>/dev/null)"}}
}}""",
        "fish": f"""\
function __ipckit_objects
  set -l word (commandline -ct)
  set -l kind
  string match -q '*:*' -- "$word"; and set kind (string split -m1 : -- "$word")[1]
  {_LIST} $kind 2>/dev/null
end""",
    },
}
_WORDS = """

# bash takes ":" and "=" for the end of a word, which they are not in an address: show the completion whole words, and
# give back only what bash wants to put in.
_ipckit() {
  local line="${COMP_LINE:0:COMP_POINT}" breaks= rest
  local -a COMP_WORDS
  read -ra COMP_WORDS <<<"$line"
  [[ "$line" == *[[:space:]] ]] && COMP_WORDS+=("")
  local COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
  local word="${COMP_WORDS[COMP_CWORD]}"
  _shtab_ipckit
  [[ "$COMP_WORDBREAKS" == *:* ]] && breaks+=:
  [[ "$COMP_WORDBREAKS" == *=* ]] && breaks+==
  if [[ -n "$breaks" ]]; then
    rest="${word##*[$breaks]}"
    COMPREPLY=("${COMPREPLY[@]#"${word%"$rest"}"}")
  fi
}
complete -o bashdefault -F _ipckit ipckit
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "completion",
        help="print what a shell needs to complete commands and objects",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS, help="for which shell")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print it; return the exit status."""
    if find_spec("shtab") is None:
        raise Failure("completion needs the package shtab: pip install 'ipckit[cli]'", status=2)
    import shtab

    from ipckit.cli.commands import parser

    top = parser()
    for action in _actions(top):
        _teach(action)
    sys.stdout.write(shtab.complete(top, shell=arguments.shell))
    if arguments.shell == "bash":
        sys.stdout.write(_WORDS)
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """All arguments of all commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)


def _teach(action: argparse.Action) -> None:
    """Say what stands there, where its metavar tells."""
    import shtab

    metavar = action.metavar if isinstance(action.metavar, str) else ""
    table = getattr(action.type, "__self__", None)
    if metavar in _ADDRESSES:
        action.complete = _OBJECTS  # type: ignore[attr-defined]  # shtab's attribute
    elif metavar.startswith("FILE") or metavar.endswith(".json"):
        action.complete = shtab.FILE  # type: ignore[attr-defined]
    elif metavar == "DIR":
        action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    elif metavar == "KIND":
        action.choices = (*KINDS, *GROUPS)
    elif isinstance(table, Table):
        action.choices = tuple(table.columns)
