"""The protocols of the core, one module each."""

from __future__ import annotations

from model import condition, event, lock, ring, rwlock, tracked_semaphore

MODELS = {
    model.name: model
    for model in (ring.MODEL, lock.MODEL, event.MODEL, rwlock.MODEL, condition.MODEL, tracked_semaphore.MODEL)
}
