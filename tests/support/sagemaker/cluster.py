"""One or two hosts of a training job as namespaces of this machine, joined by a cable.

::

    with cluster([setup, setup]) as hosts:
        hosts[0].wait(time.monotonic() + 100)

Nothing of them has a name on this machine, and each cluster has a network of its own, so several may run at a time.
Whatever ends the test run ends the hosts: each one's first process holds a pipe from it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from support.sagemaker import host_main

__all__ = ["NAMESPACES", "Host", "HostSetup", "cluster"]

#: Making a host takes a fraction of a second, on a busy machine some.
SECONDS = 60.0

NAMESPACES = ("--net", "--mount", "--uts", "--ipc", "--pid")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSetup:
    """A host to make.

    ``mounts`` are pairs of a file or folder and the place where the host sees it, ``tmp`` an empty folder for its
    /tmp, ``seen_in_tmp`` what of this machine's /tmp it still sees there; ``argv`` is its program and ``env`` that
    program's whole environment; ``log`` takes the output. The first interface gets the address.
    """

    name: str
    address: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: str
    tmp: str
    mounts: Sequence[tuple[str, str]]
    seen_in_tmp: Sequence[str] = ()
    interfaces: Sequence[str] = field(default=("eth0",))


class Host:
    """A host that runs its program."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self.name = name
        self.pid = process.pid  # outside the host's process namespace, inside its others
        self._process = process

    def wait(self, seconds: float) -> int | None:
        """Exit code of the host's program (125: it was interrupted); None if it still runs after that time."""
        try:
            return self._process.wait(max(seconds, 0))
        except subprocess.TimeoutExpired:
            return None

    def go(self) -> None:
        """Start the program: the network is there."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()


@contextlib.contextmanager
def cluster(setups: Sequence[HostSetup]) -> Iterator[list[Host]]:
    """Make the hosts and start their programs; on the way out, whatever the reason, end all that runs in them."""
    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(_host(setup)) for setup in setups]
        # A single host has both ends of the cable, the second as an interface that nobody uses.
        near, far = (hosts[0], setups[0].interfaces[0]), (hosts[-1], setups[-1].interfaces[-1])
        ends = [[interface, "netns", str(host.pid)] for host, interface in (near, far)]
        link = ["ip", "link", "add", *ends[0], "type", "veth", "peer", *ends[1]]
        subprocess.run(link, check=True, timeout=SECONDS)
        for host in hosts:
            host.go()
        yield hosts


@contextlib.contextmanager
def _host(setup: HostSetup) -> Iterator[Host]:
    path = Path(setup.log).with_suffix(".json")
    path.write_text(json.dumps(asdict(setup)))
    command = ["unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc", sys.executable, host_main.__file__]
    with subprocess.Popen([*command, path], stdin=-1, stdout=-1, text=True, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", f"{setup.name} did not start; standard error says why"
            yield Host(setup.name, process)
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """End the host's first process, and with it, before it counts as ended, everything else in the host."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()  # unshare takes the first process along
