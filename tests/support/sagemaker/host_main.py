"""First process of a simulated host, in mount and process namespaces of its own inside a host of a laboratory.

Usage: `python host_main.py SETUP`, with a `HostSetup` in the file as JSON. It mounts the host's own files, says "ready"
on standard output, runs the program, and ends with its exit code. Then the kernel ends everything else in the host.

Only the standard library, as this runs as a script.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn


def main() -> NoReturn:
    setup = json.loads(Path(sys.argv[1]).read_text())
    with Path(setup["log"]).open("wb") as log:
        socket.sethostname(setup["name"])
        mount_all(setup)
        print("ready", flush=True)
        program = subprocess.Popen(
            setup["argv"], env=setup["env"], cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        os._exit(reap_until(program.pid))


def mount_all(setup: dict[str, Any]) -> None:
    # Before /tmp is hidden: what is mounted from there stays.
    for source, target in setup["mounts"]:
        make_mount_point(Path(target), is_folder=Path(source).is_dir())
        run("mount", "--bind", source, target)
    tmp = Path(setup["tmp"])
    run("mount", "-t", "tmpfs", "tmpfs", str(tmp))
    for path in setup["seen_in_tmp"]:
        inner = tmp / Path(path).relative_to("/tmp")
        inner.mkdir(parents=True)
        run("mount", "--rbind", path, str(inner))
    run("mount", "--rbind", str(tmp), "/tmp")
    for private in ("/run", "/dev/shm"):
        run("mount", "-t", "tmpfs", "tmpfs", private)
    Path("/run/sshd").mkdir()


def make_mount_point(path: Path, *, is_folder: bool) -> None:
    """This machine's own, empty and harmless: it stays, as another test run may have mounted there."""
    if is_folder:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    else:
        path.touch()


def reap_until(program: int) -> int:
    """Exit code of the program; until it ends, take away orphans, whose end the toolkit waits for."""
    while True:
        pid, status = os.wait()
        if pid == program:
            return os.waitstatus_to_exitcode(status) & 255


def run(*words: str) -> None:
    subprocess.run(words, check=True)


if __name__ == "__main__":
    main()
