"""Whether the native modules load, tried in processes of their own: nothing else finds a library that is in the way."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import IO

from smddp.identity import RANK_VARIABLES
from smddp.tools.doctor.collect.software import built_modules, installed

__all__ = ["LOADING_SECONDS", "start_loading"]

_STATEMENTS = {
    "_core": "import smddp._core",
    "_torch": "import smddp.torch",
    "_tf": "import smddp.tensorflow",
}
_FRAMEWORKS = {"_torch": "torch", "_tf": "tensorflow"}
LOADING_SECONDS = 120.0


def start_loading(env: Mapping[str, str], *, quick: bool) -> Callable[[], dict[str, str]]:
    """Begin to load what is built and has its framework; with `quick` only what needs none.

    Returns:
        a function that waits for the end, and returns the last line of the error by the module that did not load.
    """
    there = installed()
    wanted = [
        module
        for module in built_modules()
        if module not in _FRAMEWORKS or (not quick and _FRAMEWORKS[module] in there)
    ]
    # A process that believes itself to be a rank would talk about that instead.
    clean = {name: value for name, value in env.items() if name not in RANK_VARIABLES and not name.startswith("SMDDP_")}
    started = {module: _start(_STATEMENTS[module], clean) for module in wanted}

    def wait() -> dict[str, str]:
        until = time.monotonic() + LOADING_SECONDS
        ended = {module: _end(*one, until) for module, one in started.items()}
        return {module: error for module, error in ended.items() if error}

    return wait


def _start(statement: str, env: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    output = tempfile.TemporaryFile()  # noqa: SIM115 (closed when the process has ended)
    command = [sys.executable, "-c", statement]
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=output)
    return process, output


def _end(process: subprocess.Popen[bytes], output: IO[bytes], until: float) -> str:
    with output:
        try:
            code = process.wait(max(until - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return f"it was not loaded after {LOADING_SECONDS:g} s"
        if code == 0:
            return ""
        output.seek(0)
        lines = [line for line in output.read().decode(errors="replace").splitlines() if line.strip()]
    if code < 0:
        return f"the process that loaded it was killed by signal {-code}"
    return lines[-1].strip() if lines else f"exit code {code}"
