"""Inside a network of its own: a broadcast that is told no address reaches the networks of the machine."""

from __future__ import annotations

from ipckit import rpc
from tests.rpc.serving import ADD, PROGRAM, SECONDS, Threaded


def main() -> None:
    server = rpc.Server(Threaded())
    port = server.listen_udp("0.0.0.0")[1]
    heard: list[tuple[str, int]] = []
    with server:
        for _ in range(2):
            answers = rpc.broadcast(PROGRAM, 3, ADD, 2, 3, port=port, timeout=SECONDS, until=lambda _: True)
            heard += [answer.address for answer in answers if answer.result == 5]
    print(*heard)


if __name__ == "__main__":
    main()
