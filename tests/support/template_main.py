"""A process that has imported what ranks need and forks them on demand: see `support.template`.

Requests are JSON lines with two descriptors (standard output and error of the rank); answers are JSON lines:
first the rank's pid, later its wait status.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import os
import selectors
import socket
from typing import Any

from support.rank_main import run_case

REQUEST_BYTES = 1 << 16


class Server:
    """Forks ranks until the other side of the socket is closed."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._selector = selectors.DefaultSelector()
        self._selector.register(link, selectors.EVENT_READ, None)
        self._children: dict[int, int] = {}

    def serve(self) -> dict[str, Any] | None:
        """Return None at the end, and in each forked child what it shall run."""
        while True:
            for key, _ in self._selector.select():
                if key.data is not None:
                    self._report(key.data)
                    continue
                data, descriptors, _, _ = socket.recv_fds(self._link, REQUEST_BYTES, 2)
                if not data:
                    return None
                request: dict[str, Any] = json.loads(data)
                if self._fork(descriptors) == 0:
                    return request

    def _fork(self, descriptors: list[int]) -> int:
        pid = os.fork()
        if pid == 0:
            os.setsid()
            self._forget_everything()
            os.dup2(descriptors[0], 1)
            os.dup2(descriptors[1], 2)
        else:
            self._children[pid] = os.pidfd_open(pid)
            self._selector.register(self._children[pid], selectors.EVENT_READ, pid)
            self._answer({"pid": pid})
        for descriptor in descriptors:
            os.close(descriptor)
        return pid

    def _forget_everything(self) -> None:
        self._selector.close()
        self._link.close()
        for pidfd in self._children.values():
            os.close(pidfd)

    def _report(self, pid: int) -> None:
        _, status = os.waitpid(pid, 0)
        pidfd = self._children.pop(pid)
        self._selector.unregister(pidfd)
        os.close(pidfd)
        self._answer({"ended": pid, "returncode": os.waitstatus_to_exitcode(status)})

    def _answer(self, answer: dict[str, int]) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._link.sendall(json.dumps(answer).encode() + b"\n")


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--freeze", action="store_true")
    options.add_argument("link", type=int)
    options.add_argument("modules", nargs="*")
    chosen = options.parse_args()
    for module in chosen.modules:
        importlib.import_module(module)
    if chosen.freeze:
        gc.collect()
        gc.freeze()
    request = Server(socket.socket(fileno=chosen.link)).serve()
    if request is None:
        return
    os.environ.clear()
    os.environ.update(request["env"])
    # The rank ends as any script does: this function returns, or an exception reaches the interpreter.
    run_case(request["case"], request["arguments"])


if __name__ == "__main__":
    main()
