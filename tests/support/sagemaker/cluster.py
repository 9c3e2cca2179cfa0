"""Hosts of a training job: each is a container, with processes and files of its own, in a host of a laboratory.

::

    with cluster([setup, setup]) as hosts:
        hosts[0].wait(time.monotonic() + 100)

Each cluster has a laboratory of its own, so several may run at a time. Whatever ends the test run ends the laboratory.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from support.netlab.lab import Lab, netlab
from support.netlab.spec import LabSpec
from support.sagemaker import host_main

__all__ = ["Host", "HostSetup", "cluster", "network_of"]

#: A container has these of its own, and those of its host that these leave.
_NAMESPACES = ("--mount", "--pid")


def network_of(hosts: int) -> LabSpec:
    """The network of so many hosts."""
    return LabSpec(hosts=hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSetup:
    """A host to make.

    ``mounts`` are pairs of a file or folder and the place where the host sees it, ``tmp`` an empty folder for its
    /tmp, ``seen_in_tmp`` what of this machine's /tmp it still sees there; ``argv`` is its program and ``env`` that
    program's whole environment; ``log`` takes the output.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: str
    tmp: str
    mounts: Sequence[tuple[str, str]]
    seen_in_tmp: Sequence[str] = ()


class Host:
    """A host that runs its program."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.pid = process.pid  # outside the host's process namespace, inside its others
        self._process = process

    def wait(self, seconds: float) -> int | None:
        """Exit code of the host's program; None if it still runs after that time."""
        try:
            return self._process.wait(max(seconds, 0))
        except subprocess.TimeoutExpired:
            return None


@contextlib.contextmanager
def cluster(setups: Sequence[HostSetup]) -> Iterator[list[Host]]:
    """Make the hosts and start their programs; on the way out, whatever the reason, end all that runs in them."""
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(netlab(network_of(len(setups))))
        yield [stack.enter_context(_container(lab, index, setup)) for index, setup in enumerate(setups)]


@contextlib.contextmanager
def _container(lab: Lab, index: int, setup: HostSetup) -> Iterator[Host]:
    path = Path(setup.log).with_suffix(".json")
    path.write_text(json.dumps(asdict(setup)))
    words = ["unshare", *_NAMESPACES, "--fork", "--kill-child", "--mount-proc", sys.executable, host_main.__file__]
    command = lab.enter(index, *words, str(path))
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=-1, text=True, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", f"{setup.name} did not start; standard error says why"
            yield Host(process)
        finally:
            process.kill()  # unshare takes the first process along, and that one all others; the laboratory sees to it
