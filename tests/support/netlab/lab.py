"""A laboratory that runs: hosts inside this one, with namespaces of their own for network, host name, mounts and IPC.

::

    spec = LabSpec(hosts=2, rails=(10**9, 10**9))
    with netlab(spec) as lab, World(4, "module:function", starter=lab, hosts=(2, 2)) as world:
        lab.cut(1, rail=0)

Each NIC is one end of a cable whose other end is a port of a bridge, the rail's switch. Links are shaped at both ends.
Hosts, switches and all that runs in them live as long as one keeper process each, and those end even if the test run is
killed: nothing of them has a name on this machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from support.netlab.spec import LabSpec, cable_lines, host_lines, rate_lines, switch_lines
from support.processes import RankTask, Running, Starter, python_path

__all__ = ["SECONDS", "Lab", "Traffic", "netlab", "why_no_lab"]

_NAMESPACES = ("--net", "--mount", "--uts", "--ipc")
#: For each command, and for the end of what runs in the hosts.
SECONDS = 20.0

_PROGRAMS = ("ip", "tc", "unshare", "nsenter", "hostname", "mount")
_KEEPER = Path(__file__).with_name("keeper.sh")
_ENTER = "support.netlab.inside:enter_and_run"


def why_no_lab() -> str | None:
    """Why hosts cannot be made here, or None."""
    if os.geteuid() != 0:
        return "making network namespaces needs root"
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (Debian packages iproute2, util-linux, hostname, mount)"
    # A container may forbid to mount though it allows namespaces.
    command = ["unshare", *_NAMESPACES, "mount", "-t", "tmpfs", "tmpfs", "/dev/shm"]
    tried = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    return f"namespaces are not allowed here: {tried.stderr.strip()}" if tried.returncode else None


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes that passed one NIC since the laboratory was made, headers included (once for what is segmented later)."""

    sent: int
    received: int


class _Process:
    """A started process; see `support.processes.Running`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.pid = process.pid
        self._process = process

    def wait(self, until: float) -> tuple[int, float] | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(max(until - time.monotonic(), 0)), time.monotonic()
        return None


class Lab:
    """The hosts; as a `Starter`, what a `World` calls hosts 0, 1, ... are node0, node1, ...

    Args:
        spec: what was made.
        switch: process in the namespaces of the switches.
        hosts: process in the namespaces of each host.
        started: takes the processes that are started in the hosts.
    """

    def __init__(self, spec: LabSpec, switch: int, hosts: Sequence[int], started: list[_Process]) -> None:
        self.spec = spec
        self._switch = switch
        self._hosts = hosts
        self._started = started

    def enter(self, host: int, *words: str) -> list[str]:
        """Command that runs `words` in a host; the process that runs it becomes that program."""
        return _entered(self._hosts[host], words)

    def run(self, host: int, *words: str) -> str:
        """Run a command in a host and return what it prints; CalledProcessError if it fails."""
        return _output(self.enter(host, *words))

    def run_rank(self, host: int, argv: Sequence[str], env: Mapping[str, str], out: int, err: int) -> Running:
        """Start a process in a host, as leader of a session that ends with the hosts at the latest."""
        command = self.enter(host, *argv)
        started = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
        )
        self._started.append(_Process(started))
        return self._started[-1]

    def start(self, task: RankTask) -> Running:
        """Start a rank as an interpreter of its own."""
        host, env = self._place(task)
        argv = [sys.executable, "-m", "support.rank_main", task.case, *task.arguments]
        return self.run_rank(host, argv, {**env, "PYTHONPATH": python_path()}, task.output, task.error)

    def forking(self, template: Starter) -> Starter:
        """Starter whose ranks are forks of a template's process that then enter their hosts."""
        return _Forking(self, template)

    def entering(self, task: RankTask) -> RankTask:
        """The task of a process outside that enters the rank's host first."""
        host, env = self._place(task)
        return replace(task, env=env, case=_ENTER, arguments=[str(self._hosts[host]), task.case, *task.arguments])

    def cut(self, host: int, rail: int | None = None) -> float:
        """Cut the cable of a host's NIC, or those of all its NICs; returns the time."""
        return self._set_ports(host, rail, "down")

    def restore(self, host: int, rail: int | None = None) -> float:
        """Undo `cut`; returns the time."""
        return self._set_ports(host, rail, "up")

    def set_rate(self, host: int, rail: int, rate: int) -> None:
        """Give a NIC another line rate, bits per second in each direction."""
        for inside, line in zip(
            (self._hosts[host], self._switch), rate_lines(self.spec, host, rail, rate), strict=True
        ):
            _batch(inside, "tc", [line])

    def traffic(self, host: int) -> list[Traffic]:
        """What passed each of the host's NICs, by rail."""
        links = {link["ifname"]: link["stats64"] for link in json.loads(self.run(host, "ip", "-s", "-j", "link"))}
        counted = [links[nic] for nic in self.spec.nics]
        return [Traffic(sent=stats["tx"]["bytes"], received=stats["rx"]["bytes"]) for stats in counted]

    def bytes_sent(self) -> list[int]:
        """How many bytes have left each host."""
        return [sum(nic.sent for nic in self.traffic(host)) for host in range(self.spec.hosts)]

    def _place(self, task: RankTask) -> tuple[int, dict[str, str]]:
        # Which hosts there are is what the ranks shall find out themselves, and the variable would tell them.
        env = {name: value for name, value in task.env.items() if name != "SMDDP_HOST_ID"}
        return int(task.env["SMDDP_HOST_ID"].removeprefix("host-")), env | {"MASTER_ADDR": self.spec.names[0]}

    def _set_ports(self, host: int, rail: int | None, state: str) -> float:
        rails = range(len(self.spec.rails)) if rail is None else (rail,)
        _batch(self._switch, "ip", [f"link set {self.spec.port(host, each)} {state}" for each in rails])
        return time.monotonic()


class _Forking:
    def __init__(self, lab: Lab, template: Starter) -> None:
        self._lab = lab
        self._template = template

    def start(self, task: RankTask) -> Running:
        return self._template.start(self._lab.entering(task))


@contextlib.contextmanager
def netlab(spec: LabSpec) -> Iterator[Lab]:
    """Make a laboratory; on the way out, whatever the reason, end all that runs in it."""
    started: list[_Process] = []
    with contextlib.ExitStack() as stack:
        stack.callback(_wait_for, started)  # last: what ends them is the end of the keepers
        keepers = [stack.enter_context(_keeper(name, spec.hosts_file())) for name in ("switch", *spec.names)]
        for keeper in keepers:
            assert keeper.stdout is not None
            assert keeper.stdout.readline() == "ready\n", "a host did not start; standard error says why"
        switch, *hosts = [keeper.pid for keeper in keepers]
        _batch(switch, "ip", [*switch_lines(spec), *cable_lines(spec, hosts)])
        lab = Lab(spec, switch, hosts, started)
        for host, pid in enumerate(hosts):
            _batch(pid, "ip", host_lines(spec, host))
        _set_rates(spec, switch, hosts)
        yield lab


def _set_rates(spec: LabSpec, switch: int, hosts: Sequence[int]) -> None:
    ports = []
    for host, pid in enumerate(hosts):
        rates = [(rail, spec.rate(host, rail)) for rail in range(len(spec.rails))]
        lines = [rate_lines(spec, host, rail, rate) for rail, rate in rates if rate is not None]
        _batch(pid, "tc", [nic for nic, _ in lines])
        ports += [port for _, port in lines]
    _batch(switch, "tc", ports)


def _wait_for(processes: Iterable[_Process]) -> None:
    for process in processes:
        assert process.wait(time.monotonic() + SECONDS) is not None, f"process {process.pid} outlives its host"


@contextlib.contextmanager
def _keeper(name: str, hosts_file: str) -> Iterator[subprocess.Popen[str]]:
    command = ["unshare", *_NAMESPACES, str(_KEEPER), name, hosts_file]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True, start_new_session=True) as keeper:
        try:
            yield keeper
        finally:
            assert keeper.stdin is not None
            keeper.stdin.close()
            try:
                keeper.wait(SECONDS)
            except subprocess.TimeoutExpired:
                keeper.kill()
                raise AssertionError(f"what runs in {name} cannot be ended") from None


def _entered(pid: int, words: Sequence[str]) -> list[str]:
    return ["nsenter", f"--target={pid}", *_NAMESPACES, f"--wd={Path.cwd()}", "--", *words]


def _batch(pid: int, program: str, lines: Iterable[str]) -> None:
    """Let `ip` or `tc` carry out these lines where a process is."""
    _output(_entered(pid, [program, "-batch", "-"]), "\n".join(lines))


def _output(command: Sequence[str], text: str | None = None) -> str:
    return subprocess.run(command, input=text, check=True, timeout=SECONDS, stdout=-1, text=True).stdout
