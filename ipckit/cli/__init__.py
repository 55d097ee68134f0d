"""The command line: `ipckit COMMAND`."""

from __future__ import annotations

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command that *arguments* (by default those of this process) name; return the exit status."""
    try:
        from ipckit.cli.commands import run

        return run(arguments)
    except KeyboardInterrupt:  # while modules were imported
        return 130
