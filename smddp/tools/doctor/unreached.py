"""Whether a host is there, asked in the way in which mpirun starts something on it; and why a host has no probe."""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from smddp.tools.doctor.checks import Unreached

__all__ = ["Answer", "agent_of", "ask_hosts", "explain"]

_SECONDS = 20.0
_CONNECT_SECONDS = 8
_AGENT_VARIABLES = (
    *("OMPI_MCA_plm_rsh_agent", "OMPI_MCA_orte_rsh_agent", "PRTE_MCA_plm_ssh_agent", "HYDRA_LAUNCHER_EXEC"),
)
_AGENT_OPTIONS = ("plm_rsh_agent", "orte_rsh_agent", "plm_ssh_agent", "-launcher-exec")

_NO_ANSWER = "see whether it runs, and whether a firewall drops ssh"
#: What ssh says, what it means, and what to do.
_REASONS = (
    ("could not resolve|name or service not known|no address", "its name is unknown here", "add it to /etc/hosts"),
    (
        "connection refused",
        "its ssh server does not run, or a firewall refuses the connection",
        "start sshd there, on the port that ~/.ssh/config names",
    ),
    ("timed out|no route|unreachable", "it does not answer", _NO_ANSWER),
    (
        "host key verification|host identification has changed",
        "ssh does not know its host key, or knows another",
        "ssh to it once by hand, or add its key to ~/.ssh/known_hosts (ssh-keyscan)",
    ),
    (
        "permission denied|too many authentication",
        "ssh asks for a password there",
        "put this user's public key into ~/.ssh/authorized_keys there (ssh-copy-id)",
    ),
    (
        "no such file|not found|cannot execute",
        f"{sys.executable} does not exist there",
        "install smddp there at the same path, or share the file system",
    ),
)


def agent_of(options: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """Return the command by which mpirun reaches hosts: the words before the host's name."""
    for before, word in itertools.pairwise(options):
        if before.endswith(_AGENT_OPTIONS):
            return shlex.split(word)
    named = next((env[name] for name in _AGENT_VARIABLES if env.get(name)), "")
    return shlex.split(named.split(":")[0].strip()) or ["ssh"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a short command on a host: exit code (None if it never ended) and standard error."""

    code: int | None = 0
    said: str = ""


def ask_hosts(names: Sequence[str], options: Sequence[str], env: Mapping[str, str]) -> dict[str, Answer]:
    """Ask each host for the version of this Python.

    Args:
        names: of the hosts, as the user gave them.
        options: for mpirun.
        env: that mpirun was started in.
    """
    agent = agent_of(options, env)
    with ThreadPoolExecutor(max_workers=16) as pool:
        return dict(zip(names, pool.map(lambda name: _ask(agent, name), names), strict=True))


def explain(name: str, answer: Answer, messages: str) -> Unreached:
    """Put into words why a host could not be examined; `messages` are mpirun's. Pure."""
    code, said = answer.code, answer.said
    if code is None:
        return Unreached(name=name, problem=_not(name, "it does not answer"), advice=_NO_ANSWER)
    for pattern, meaning, advice in _REASONS:
        if code != 0 and re.search(pattern, said, re.IGNORECASE):
            return Unreached(name=name, problem=_not(name, meaning), advice=advice)
    if code != 0:
        last = next(iter(reversed(said.strip().splitlines())), f"exit code {code}")
        return Unreached(name=name, problem=_not(name, last), advice=f"make this work: ssh {name} true")
    why = _first_complaint(messages)
    problem = _not(name, f"ssh works, and mpirun does not{f': {why}' if why else ''}")
    advice = "see what it says: smddprun -H ... hostname; it needs the same MPI there, and TCP from there to here"
    return Unreached(name=name, problem=problem, advice=advice)


def _not(name: str, reason: str) -> str:
    return f"{name} could not be examined: {reason}"


def _ask(agent: Sequence[str], name: str) -> Answer:
    options = ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={_CONNECT_SECONDS}"] if agent[0].endswith("ssh") else []
    command = [*agent, *options, name, sys.executable, "--version"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answer(None)
    except OSError as error:
        return Answer(127, f"cannot run {agent[0]}: {error.strerror}")
    return Answer(done.returncode, done.stderr)


def _first_complaint(messages: str) -> str:
    """The line in which mpirun says most: not its rulers, not our own summary."""
    lines = [line.strip() for line in messages.splitlines()]
    worth = [line for line in lines if line and not line.startswith(("---", "===", "smddprun:"))]
    return worth[0][:200] if worth else ""
