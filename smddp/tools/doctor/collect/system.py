"""Kernel, processors, memory, and the folders in which programs keep temporary files."""

from __future__ import annotations

import os
import re
import socket
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from smddp.tools.doctor.collect.files import read_number, read_text
from smddp.tools.doctor.collect.groups import cores_granted, memory_limit
from smddp.tools.doctor.facts import Store, System

__all__ = ["collect_system", "host_id"]

_ESCAPE = re.compile(r"\\([0-7]{3})")


def collect_system(env: Mapping[str, str], root: Path = Path("/")) -> System:
    """Return what the kernel says, and whether the calls that the engine needs work."""
    memory = _memory(root)
    return System(
        host_name=socket.gethostname(),
        host_id=host_id(env, root),
        kernel=os.uname().release,
        cores_seen=os.cpu_count() or 0,
        cores_usable=len(os.sched_getaffinity(0)),
        cores_granted=cores_granted(root),
        load=_load(root),
        memory=memory.get("MemTotal", 0),
        memory_available=memory.get("MemAvailable", 0),
        memory_limit=memory_limit(root),
        overcommit=read_number(root / "proc/sys/vm/overcommit_memory") or 0,
        calls=_failing_calls(),
        shared_memory=_store(root / "dev/shm", root),
        temporary=_store(Path(env.get("TMPDIR") or "/tmp"), root),
    )


def host_id(env: Mapping[str, str], root: Path = Path("/")) -> str:
    """Return what tells hosts apart, as the engine does (native/src/base/host_id.cc)."""
    if env.get("SMDDP_HOST_ID"):
        return f"name:{env['SMDDP_HOST_ID']}"
    boot = read_text(root / "proc/sys/kernel/random/boot_id")
    try:
        network = (root / "proc/self/ns/net").stat().st_ino
    except OSError:
        return ""
    return f"boot:{boot}:net:{network}" if boot else ""


def _load(root: Path) -> float:
    words = read_text(root / "proc/loadavg").split()
    return float(words[0]) if words else 0.0


def _memory(root: Path) -> dict[str, int]:
    found = re.findall(r"^(\w+):\s+(\d+) kB", read_text(root / "proc/meminfo"), re.MULTILINE)
    return {name: int(kibibytes) * 1024 for name, kibibytes in found}


def _store(path: Path, root: Path) -> Store:
    problem = ""
    size = free = 0
    try:
        place = os.statvfs(path)
        size, free = place.f_blocks * place.f_frsize, place.f_bavail * place.f_frsize
        # O_TMPFILE leaves nothing, however this ends; not every file system has it.
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"x" * 4096)
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
    return Store(path=str(path), kind=_kind(path, root), size=size, free=free, problem=problem)


def _kind(path: Path, root: Path) -> str:
    """The type of the file system that `path` itself is the top of; "" if it is not one."""
    kind = ""
    for line in read_text(root / "proc/self/mounts").splitlines():
        words = line.split()
        if len(words) > 2 and Path(_ESCAPE.sub(lambda found: chr(int(found[1], 8)), words[1])) == path:
            kind = words[2]  # the last one hides the others
    return kind


def _failing_calls() -> dict[str, str]:
    trials: dict[str, Callable[[], None]] = {
        "memfd_create": _make_memory_file,
        "pidfd_open": _open_pidfd,
        "an abstract unix socket": _pass_descriptor,
    }
    failed = {}
    for name, trial in trials.items():
        try:
            trial()
        except OSError as error:
            failed[name] = error.strerror or str(error)
    return failed


def _make_memory_file() -> None:
    os.close(os.memfd_create("smddp-doctor", os.MFD_CLOEXEC))


def _open_pidfd() -> None:
    if hasattr(os, "pidfd_open"):  # a Python that was built on an older kernel does not know it
        os.close(os.pidfd_open(os.getpid()))


def _pass_descriptor() -> None:
    """As ranks of one host meet: through a socket without a file, over which a descriptor travels."""
    name = b"\0smddp-doctor-" + os.urandom(12).hex().encode()
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as calling:
        listening.bind(name)
        listening.listen(1)
        calling.settimeout(5)
        calling.connect(name)
        accepted, _ = listening.accept()
        with accepted:
            file = os.memfd_create("smddp-doctor", os.MFD_CLOEXEC)
            try:
                socket.send_fds(calling, [b"x"], [file])
                accepted.settimeout(5)
                for descriptor in socket.recv_fds(accepted, 1, 1)[1]:
                    os.close(descriptor)
            finally:
                os.close(file)
