"""What smddprun costs in front of each rank's program."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Sequence

import pytest
from integration.launch.helpers import clean_environment, smddprun_command

pytestmark = pytest.mark.timeout(60)

#: Of processor time, as the clock on the wall also counts what others do.
MOST_SECONDS = 0.05
#: Takes about 40 ms where smddprun takes 25 to 32, and as much more of them on a processor that others slow down.
REFERENCE = (sys.executable, "-I", "-S", "-c", "import email.message, json, urllib.request")
MOST_OF_REFERENCE = 1.3
RUNS = 7


def processor_seconds(*commands: Sequence[str]) -> list[float]:
    """Of each command, run in turns: the fastest of several runs, as a rank of a launcher."""
    env = {**clean_environment(), "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    fastest = [float("inf")] * len(commands)
    for _ in range(RUNS):
        for index, argv in enumerate(commands):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(argv, env=env, check=True, timeout=20, stderr=subprocess.DEVNULL)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            fastest[index] = min(fastest[index], seconds)
    return fastest


@pytest.mark.parametrize("words", [(), ("--rank", "--"), ("--rank", "--watch", "--")])
def test_little_time_and_no_framework(words: tuple[str, ...]) -> None:
    program = [sys.executable, "-I", "-S", "-c", "pass"]
    whole, alone, reference = processor_seconds([*smddprun_command(), *words, *program], program, REFERENCE)
    more = whole - alone
    print(f"{1000 * more:.0f} ms more with {words}; reference {1000 * reference:.0f} ms")
    assert more <= max(MOST_SECONDS, MOST_OF_REFERENCE * reference)


def test_imports_no_framework() -> None:
    code = "import sys, smddp.launch.run, smddp.launch.supervision.watch; print(*sys.modules)"
    env = {**clean_environment(), "PYTHONPATH": os.pathsep.join(sys.path)}
    modules = subprocess.run(
        [sys.executable, "-c", code], env=env, check=True, timeout=20, capture_output=True, text=True
    ).stdout.split()
    assert not {"torch", "tensorflow", "numpy", "smddp._core", "argparse", "subprocess"} & set(modules)
