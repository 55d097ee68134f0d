"""iceoryx2: publish and subscribe over shared memory, without copies between the processes.

Its best modes, both measured: a subscriber that asks again and again (the fastest, at the price of a whole processor),
and one that sleeps until a notification (`events`), which costs a system call for each message. Payloads are of fixed
size, which measured faster than its slices; a full subscriber is waited for, so that nothing is lost, and a buffer of
a thousand messages, or 16 MiB of them, lies between. `bytes` in and `bytes` out, as everywhere, is one copy at each
side; the arrays are written and read in place.
"""

# mypy: disable-error-code="import-untyped, import-not-found"

from __future__ import annotations

import ctypes
import os
import shutil
import time
import uuid
from glob import glob
from typing import TYPE_CHECKING, Any

import iceoryx2 as iox
import numpy as np

from ipckit.bench.loads import Arrays, Fan
from ipckit.bench.quantity import ROUNDTRIP, THROUGHPUT
from ipckit.bench.row import Channel

if TYPE_CHECKING:
    from collections.abc import Callable

BUFFER = 1000  # messages
MOST_BUFFERED = 16 << 20  # bytes
FAN_BUFFER = 8000  # messages: a burst must fit
FOUND = 10.0  # s, within which the other side must be there

iox.set_log_level(iox.LogLevel.Fatal)


class World:
    """A place of its own for the files of one row, so that they can be removed whoever was killed."""

    def __init__(self) -> None:
        self.key = uuid.uuid4().hex[:12]
        self.publishers: dict[int, Any] = {}
        self.subscribers: dict[int, Any] = {}

    @property
    def root(self) -> str:
        return f"/tmp/ipckit-iox-{self.key}"

    def node(self) -> Any:
        """This process's node."""
        if "_node" not in vars(self):
            config = iox.config.default()
            config.global_cfg.root_path = iox.Path.new(self.root)
            config.global_cfg.prefix = iox.FileName.new(f"ipckit{self.key}_")
            self._config = config
            node = iox.NodeBuilder.new().config(config).signal_handling_mode(iox.SignalHandlingMode.Disabled)
            self._node = node.create(iox.ServiceType.Ipc)
        return self._node

    def service(self, size: int, buffer: int, subscribers: int = 1) -> Any:
        """The service of messages of *size* bytes."""
        builder = self.node().service_builder(iox.ServiceName.new(f"bytes/{size}"))
        return (
            builder.publish_subscribe(ctypes.c_uint8 * size)
            .enable_safe_overflow(False)
            .history_size(0)
            .subscriber_max_buffer_size(buffer)
            .max_publishers(1)
            .max_subscribers(subscribers)
            .max_nodes(subscribers + 2)
            .open_or_create()
        )

    def publisher(self, size: int, buffer: int, readers: int = 1, most: int = 1) -> Any:
        """The publisher of messages of *size* bytes, once *readers* subscribers are there."""
        if size not in self.publishers:
            service = self.service(size, buffer, most)
            waiting = service.publisher_builder().backpressure_strategy(iox.BackpressureStrategy.RetryUntilDelivered)
            self.publishers[size] = service, waiting.create()
        service, publisher = self.publishers[size]
        deadline = time.monotonic() + FOUND
        while service.dynamic_config.number_of_subscribers < readers:
            if time.monotonic() > deadline:
                raise TimeoutError("the subscriber did not come")
        publisher.update_connections()
        return publisher

    def subscriber(self, size: int, buffer: int, most: int = 1) -> Any:
        """This process's subscriber of messages of *size* bytes."""
        if size not in self.subscribers:
            service = self.service(size, buffer, most)
            self.subscribers[size] = service, service.subscriber_builder().create()
        return self.subscribers[size][1]

    def close(self) -> None:
        """Remove what the processes left, which end without saying so."""
        for path in glob(f"/dev/shm/ipckit{self.key}_*"):
            os.unlink(path)
        shutil.rmtree(self.root, ignore_errors=True)


def buffer_for(size: int) -> int:
    """How many messages of *size* bytes a subscriber holds."""
    return max(2, min(BUFFER, MOST_BUFFERED // size))


def copying_sender(publisher: Any, size: int) -> Callable[[Any], object]:
    """Copy bytes into a loan, and send it."""
    loan, copy = publisher.loan_uninit, ctypes.memmove

    def send(data: bytes) -> None:
        sample = loan()
        copy(sample.payload_ptr, data, size)
        sample.assume_init().send()

    return send


def yielding_receiver(subscriber: Any, size: int) -> Callable[[], bytes]:
    """Ask until there is a sample, letting others run in between, and copy it out."""
    ask, copy, let_others = subscriber.receive, ctypes.string_at, os.sched_yield

    def receive() -> bytes:
        while (sample := ask()) is None:
            let_others()
        return copy(sample.payload_ptr, size)

    return receive


def polling_receiver(subscriber: Any, size: int) -> Callable[[], bytes]:
    """Ask until there is a sample, and copy it out."""
    ask, copy = subscriber.receive, ctypes.string_at

    def receive() -> bytes:
        while (sample := ask()) is None:
            pass
        return copy(sample.payload_ptr, size)

    return receive


class Polling(World, Channel):
    """A receiver that never sleeps."""

    name = "iceoryx2"
    about = "iceoryx2 publish and subscribe, the subscriber polls without a pause; fixed size, nothing is lost"
    family = "iceoryx2"
    measures = (THROUGHPUT, ROUNDTRIP)

    def __init__(self, _size: int, /) -> None:
        World.__init__(self)

    def sender(self, size: int, /) -> Callable[[Any], object]:
        return copying_sender(self.publisher(size, buffer_for(size)), size)

    def receiver(self, size: int, /) -> Callable[[], Any]:
        return polling_receiver(self.subscriber(size, buffer_for(size)), size)


class Sleeping(Polling):
    """A receiver that sleeps until a notification."""

    name = "iceoryx2 events"
    about = "the same, the subscriber sleeps in a Listener, and a Notifier wakes it after each message"

    def event(self) -> Any:
        if "_event" not in vars(self):
            self._event = self.node().service_builder(iox.ServiceName.new("event")).event().open_or_create()
        return self._event

    def sender(self, size: int, /) -> Callable[[Any], object]:
        if "_notifier" not in vars(self):
            self._notifier = self.event().notifier_builder().create()
        send, notify = super().sender(size), self._notifier.notify

        def send_and_notify(data: bytes) -> None:
            send(data)
            notify()

        return send_and_notify

    def receiver(self, size: int, /) -> Callable[[], Any]:
        if "_listener" not in vars(self):
            self._listener = self.event().listener_builder().create()
        subscriber = self.subscriber(size, buffer_for(size))
        ask, wait, copy = subscriber.receive, self._listener.blocking_wait, ctypes.string_at

        def receive() -> bytes:
            while (sample := ask()) is None:
                wait()
            return copy(sample.payload_ptr, size)

        return receive


class InPlace(World, Arrays):
    """Written into the loan, read in the sample; the subscriber polls."""

    name = "iceoryx2"
    about = "iceoryx2 publish and subscribe: arrays in the loan and in the sample, the subscriber polls"
    family = "iceoryx2"

    def __init__(self, _size: int, /) -> None:
        World.__init__(self)

    def giver(self, size: int, /) -> Callable[[int], Callable[[], object]]:
        loan, kind = self.publisher(size, 2).loan_uninit, ctypes.c_uint8 * size

        def ready(number: int) -> Callable[[], object]:
            sample = loan()
            np.frombuffer(memoryview(kind.from_address(sample.payload_ptr)), np.uint64)[-1] = number
            return lambda: sample.assume_init().send()

        return ready

    def taker(self, size: int, /) -> Callable[[], int]:
        ask, kind = self.subscriber(size, 2).receive, ctypes.c_uint8 * size

        def take() -> int:
            while (sample := ask()) is None:
                pass
            return int(np.frombuffer(memoryview(kind.from_address(sample.payload_ptr)), np.uint64)[-1])

        return take


class Published(World, Fan):
    """Each subscriber has a queue of its own, of places; the message is there once."""

    name = "iceoryx2"
    about = f"iceoryx2 publish and subscribe, the subscribers poll and yield; buffers of {FAN_BUFFER} messages"
    family = "iceoryx2"

    def __init__(self, _size: int, most: int, /) -> None:
        World.__init__(self)
        self.most = most

    def writer(self, size: int, readers: int, /) -> Callable[[bytes], object]:
        return copying_sender(self.publisher(size, FAN_BUFFER, readers, self.most), size)

    def reader(self, size: int, _index: int, /) -> Callable[[], Any]:
        return yielding_receiver(self.subscriber(size, FAN_BUFFER, self.most), size)
