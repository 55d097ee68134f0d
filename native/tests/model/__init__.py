"""The protocols of the core, one module each."""

from __future__ import annotations

from model import (
    barrier,
    broadcast,
    broadcast_block,
    condition,
    event,
    latch,
    latest,
    lock,
    mpmc,
    mutex_pi,
    once,
    ring,
    roster,
    rwlock,
    semaphore,
    tracked_semaphore,
)

SYNC = [lock, mutex_pi, event, rwlock, condition, semaphore, tracked_semaphore, barrier, latch, once]
MODULES = [ring, *SYNC, latest, roster, mpmc, broadcast, broadcast_block]
MODELS = {module.MODEL.name: module.MODEL for module in MODULES}
