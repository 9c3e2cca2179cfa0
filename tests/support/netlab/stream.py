"""One TCP stream between two hosts: how fast a link is."""

from __future__ import annotations

import subprocess
import sys

from support.netlab.lab import SECONDS, Lab

__all__ = ["send_stream"]

#: Prints "listening", then the rate in bits per second. What comes in the first half second does not count, unless it
#: is all: neither the start of the stream nor the link's burst shall.
_RECEIVER = """
import socket, sys, time
with socket.create_server((sys.argv[1], 5000)) as server:
    print("listening", flush=True)
    link, _ = server.accept()
buffer = bytearray(1 << 20)
total = link.recv_into(buffer)
begin, counted_from = time.monotonic(), total
settled = begin + 0.5
while count := link.recv_into(buffer):
    total += count
    if settled is not None and time.monotonic() > settled:
        begin, counted_from, settled = time.monotonic(), total, None
print(8 * (total - counted_from) / (time.monotonic() - begin))
"""

_SENDER = """
import socket, sys, time
link = socket.create_connection((sys.argv[1], 5000), timeout=20)
until, left = time.monotonic() + float(sys.argv[2]), int(sys.argv[3])
block = bytes(1 << 18)
while left > 0 and time.monotonic() < until:
    link.sendall(block[:left])
    left -= len(block)
"""


def send_stream(
    lab: Lab, source: int, target: int, *, rail: int = 0, seconds: float = SECONDS / 2, total: int = 1 << 40
) -> float:
    """Send from one host to another for some time, or so many bytes; returns payload bits per second."""
    address = lab.spec.address(target, rail)
    command = lab.enter(target, sys.executable, "-c", _RECEIVER, address)
    with subprocess.Popen(command, stdout=-1, text=True) as receiver:
        try:
            assert receiver.stdout is not None
            assert receiver.stdout.readline() == "listening\n"
            lab.run(source, sys.executable, "-c", _SENDER, address, str(seconds), str(total))
            return float(receiver.communicate(timeout=SECONDS)[0])
        finally:
            receiver.kill()
