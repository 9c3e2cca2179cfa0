"""Two hosts inside this one: namespaces of their own for network, host name, mounts and IPC, joined by a cable.

::

    with two_hosts() as hosts, World(4, "module:function", starter=hosts, hosts=(2, 2)) as world:
        hosts.cut_cable()

Namespaces, the cable and the mounts live as long as one keeper process per host, and those end even if the test run
is killed: nothing of them has a name on this machine. Both ends of the cable are inside the hosts.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from support.processes import RankTask, Running, python_path

__all__ = ["NAMES", "NAMESPACES", "SECONDS", "TwoHosts", "two_hosts"]

NAMES = ("nodea", "nodeb")
ADDRESSES = ("10.213.77.1", "10.213.77.2")
CABLE = "cable0"
NAMESPACES = ("--net", "--mount", "--uts", "--ipc")
SECONDS = 20.0

#: Shared memory and /etc/hosts are private; all other files, the checkout and Python too, are this machine's.
#: `cat` ends when its input is closed, that is with the test run.
KEEPER = """
hostname "$1"
mount -t tmpfs tmpfs /dev/shm
printf '127.0.0.1 localhost\\n%s\\n' "$2" >/dev/shm/hosts
mount --bind /dev/shm/hosts /etc/hosts
rm /dev/shm/hosts
ip link set lo up
echo ready
exec cat
"""


class _Process:
    """A started process; see `support.processes.Running`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.pid = process.pid
        self._process = process

    def wait(self, until: float) -> tuple[int, float] | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(max(until - time.monotonic(), 0)), time.monotonic()
        return None


class TwoHosts:
    """The hosts; as a `Starter`, what a `World` calls hosts 0 and 1 are nodea and nodeb."""

    def __init__(self, keepers: Sequence[int]) -> None:
        self._keepers = keepers
        self.started: list[_Process] = []

    def enter(self, host: int, *words: str) -> list[str]:
        """Command that runs `words` in host 0 or 1; the process that runs it becomes that program."""
        return ["nsenter", f"--target={self._keepers[host]}", *NAMESPACES, f"--wd={Path.cwd()}", "--", *words]

    def run(self, host: int, *words: str) -> str:
        """Run a command in a host and return what it prints; CalledProcessError if it fails."""
        return subprocess.run(self.enter(host, *words), check=True, timeout=SECONDS, stdout=-1, text=True).stdout

    def run_rank(self, host: int, argv: Sequence[str], env: Mapping[str, str], out: int, err: int) -> Running:
        """Start a process in a host, as leader of a session that ends with the hosts at the latest."""
        command = self.enter(host, *argv)
        started = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
        )
        self.started.append(_Process(started))
        return self.started[-1]

    def start(self, task: RankTask) -> Running:
        # Which hosts there are is what the ranks shall find out themselves, and the variable would tell them.
        env = {name: value for name, value in task.env.items() if name != "SMDDP_HOST_ID"}
        host = int(task.env["SMDDP_HOST_ID"].removeprefix("host-"))
        env |= {"MASTER_ADDR": NAMES[0], "PYTHONPATH": python_path()}
        argv = [sys.executable, "-m", "support.rank_main", task.case, *task.arguments]
        return self.run_rank(host, argv, env, task.output, task.error)

    def cut_cable(self) -> float:
        """Take the link down without a word to those who use it; returns the time."""
        self.run(1, "ip", "link", "set", CABLE, "down")
        return time.monotonic()


@contextlib.contextmanager
def two_hosts() -> Iterator[TwoHosts]:
    """Make the hosts; on the way out, whatever the reason, end all that runs in them."""
    # The second form of the address is what a socket for both protocols sees.
    names = "\n".join(
        f"{address} {name}\n::ffff:{address} {name}" for address, name in zip(ADDRESSES, NAMES, strict=True)
    )
    with contextlib.ExitStack() as stack:
        keepers = [stack.enter_context(_keeper(name, names)) for name in NAMES]
        hosts = TwoHosts(keepers)
        stack.callback(_end, keepers, hosts.started)
        ends = [[CABLE, "netns", str(pid)] for pid in keepers]
        subprocess.run(["ip", "link", "add", *ends[0], "type", "veth", "peer", *ends[1]], check=True, timeout=SECONDS)
        for host, address in enumerate(ADDRESSES):
            hosts.run(host, "ip", "address", "add", f"{address}/24", "dev", CABLE)
            hosts.run(host, "ip", "link", "set", CABLE, "up")
        yield hosts


@contextlib.contextmanager
def _keeper(name: str, names: str) -> Iterator[int]:
    command = ["unshare", *NAMESPACES, "sh", "-euc", KEEPER, "sh", name, names]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True, start_new_session=True) as keeper:
        try:
            assert keeper.stdout is not None
            assert keeper.stdout.readline() == "ready\n", "a host did not start; standard error says why"
            yield keeper.pid
        finally:
            keeper.kill()


def _end(keepers: Sequence[int], processes: Sequence[_Process]) -> None:
    for process in processes:
        if process.wait(0) is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(time.monotonic() + SECONDS)
    deadline = time.monotonic() + SECONDS
    while left := _inhabitants(keepers):  # daemons, in sessions of their own
        assert time.monotonic() < deadline, f"cannot be ended: {left}"
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _inhabitants(keepers: Sequence[int]) -> list[int]:
    """Processes in the hosts besides their keepers."""
    networks = {Path(f"/proc/{pid}/ns/net").readlink() for pid in keepers}
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) not in keepers:
            with contextlib.suppress(OSError):  # it has ended, or is a zombie
                found += [int(folder.name)] if (folder / "ns" / "net").readlink() in networks else []
    return found
