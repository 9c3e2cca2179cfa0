"""Jobs of smddprun that run until a test ends them, and the processes that they consist of."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from integration.launch.helpers import TIMEOUT_S, Launcher

from support.jobs import hear_signals

#: Tells its process number and its child's, and waits for good.
WAITS = (
    "import os, signal, subprocess, sys; "
    "child = subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.read()'], stdin=subprocess.PIPE); "
    "os.write(1, b'%d %d\\n' % (os.getpid(), child.pid)); signal.pause()"
)


def python(code: str) -> tuple[str, ...]:
    return sys.executable, "-c", code


def argv(launcher: Launcher, *words: str) -> list[str]:
    return [*launcher.smddprun, "--mpirun", launcher.mpirun, *words]


@contextmanager
def running(
    launcher: Launcher, *words: str, prepare: Callable[[], object] = hear_signals
) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A job of two ranks that wait, and the numbers of the processes that it consists of below smddprun."""
    command = argv(launcher, "-np", "2", *words, *python(WAITS))
    job = subprocess.Popen(
        command,
        env=dict(launcher.env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,
    )
    try:
        assert job.stdout is not None
        programs = [int(number) for _ in range(2) for number in job.stdout.readline().split()]
        yield job, [*programs, *descendants(job.pid)]
    finally:
        job.kill()
        job.communicate(timeout=TIMEOUT_S)


def descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text(encoding="ascii").split():
            found += [int(child), *descendants(int(child))]
    return found


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while alive := [pid for pid in pids if is_alive(pid)]:
        assert time.monotonic() < deadline, f"still there: {alive}"
        os.sched_yield()


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat[stat.rindex(")") + 2] not in "ZX"
