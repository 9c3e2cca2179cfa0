"""What smddprun costs in front of each rank's program."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest
from integration.launch.helpers import clean_environment, smddprun_command

pytestmark = pytest.mark.timeout(60)

#: Of processor time, as the clock on the wall also counts what others do.
MOST_SECONDS = 0.05
RUNS = 7


def processor_seconds(argv: list[str]) -> float:
    """Of the fastest of several runs, as a rank of a launcher."""
    env = {**clean_environment(), "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    seconds = []
    for _ in range(RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(argv, env=env, check=True, timeout=20, stderr=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(seconds)


@pytest.mark.parametrize("words", [(), ("--rank", "--"), ("--rank", "--watch", "--")])
def test_little_time_and_no_framework(words: tuple[str, ...]) -> None:
    program = [sys.executable, "-I", "-S", "-c", "pass"]
    more = processor_seconds([*smddprun_command(), *words, *program]) - processor_seconds(program)
    print(f"{1000 * more:.0f} ms more with {words}")
    assert more <= MOST_SECONDS


def test_imports_no_framework() -> None:
    code = "import sys, smddp.launch.run, smddp.launch.supervision.watch; print(*sys.modules)"
    env = {**clean_environment(), "PYTHONPATH": os.pathsep.join(sys.path)}
    modules = subprocess.run(
        [sys.executable, "-c", code], env=env, check=True, timeout=20, capture_output=True, text=True
    ).stdout.split()
    assert not {"torch", "tensorflow", "numpy", "smddp._core", "argparse", "subprocess"} & set(modules)
