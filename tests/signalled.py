"""Signals that do not wake the main thread, though it is the one that runs Python's handlers: signal(7)."""

from __future__ import annotations

import signal
import threading


def leave_to_another_thread(signum: int) -> None:
    """Have *signum* go to a thread that sleeps: for the main thread it is as if it came just before it falls asleep."""
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signum})
