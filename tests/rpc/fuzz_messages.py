"""Coverage-guided fuzzing of records, messages and answers: `make fuzz-rpc`, or python -m tests.rpc.fuzz_messages.

The first byte says what the others are; what must hold for them is in `tests.rpc.message_rules`. Arguments are those of
libFuzzer.
"""

from __future__ import annotations

import sys

import atheris

OURS = ["ipckit.rpc._wire", "ipckit.rpc._server", "ipckit.rpc.auth", "ipckit.rpc.procedure"]

with atheris.instrument_imports(include=OURS):
    from tests.rpc.message_rules import check

if __name__ == "__main__":
    atheris.Setup([sys.argv[0], "-max_len=700", "-timeout=5", "-rss_limit_mb=1024", *sys.argv[1:]], check)
    atheris.Fuzz()
