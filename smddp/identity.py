"""Who am I: rank, size and local rank, read from the variables that launchers set.

Everything here is a pure function of a mapping (and of the process number, which tells what a parent made up for
itself: `smddp.alone`), so it costs microseconds, imports nothing heavy and is tested without starting a process.
Sources, the first complete one wins: explicit arguments; torchrun's variables; ``SMDATAPARALLEL_*``; ``OMPI_*``,
``PMIX_*``, ``PMI_*``; ``SLURM_*`` inside an ``srun`` step; else a single process.

The local rank is never computed as ``rank mod n``: launchers do place ranks round robin. Where the winning
source does not say it, it is taken from another source that names the same rank and size, and from no other:
an outer ``srun`` or ``mpirun`` that started one ``torchrun`` per host describes another world.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from smddp.alone import inherited_names
from smddp.errors import SMDDPArgumentError, SMDDPConfigError

__all__ = ["RANK_VARIABLES", "Identity", "in_slurm_step", "is_loopback", "read_identity", "read_whole_number"]

#: Slurm numbers its own steps (batch script, interactive shell, extern) from here up: they hold no ranks.
_FIRST_SPECIAL_SLURM_STEP = 0xFFFFFFF0


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One process's place in its job.

    ``source`` is one of arguments, torchrun, smdataparallel, openmpi, pmix, pmi, slurm, single. ``job_id`` is
    equal on all ranks of a job and differs between jobs on one machine; None where the launcher gives no such
    name. ``local_known`` is False where nothing says which ranks share a host; then ``local_rank`` and
    ``local_size`` are placeholders (0 and 1, or what half is known). ``local_size_known`` is False there, and
    also where the job is certainly on several hosts but the launcher's count for this one cannot be believed;
    then ``local_size`` is a lower bound, below ``size``.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    source: str
    job_id: str | None = None
    local_known: bool = True
    local_size_known: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """The variables of one launcher; of several names for one fact the first one set counts."""

    name: str
    rank: tuple[str, ...]
    size: tuple[str, ...]
    local_rank: tuple[str, ...] = ()
    local_size: tuple[str, ...] = ()
    job: tuple[str, ...] = ()


_TORCHRUN = _Source(
    name="torchrun",
    rank=("RANK",),
    size=("WORLD_SIZE",),
    local_rank=("LOCAL_RANK",),
    local_size=("LOCAL_WORLD_SIZE",),
)
_SLURM = _Source(
    name="slurm",
    rank=("SLURM_PROCID",),
    size=("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"),
    local_rank=("SLURM_LOCALID",),
)
_SOURCES = (
    _TORCHRUN,
    _Source(
        name="smdataparallel",
        rank=("SMDATAPARALLEL_WORLD_RANK",),
        size=("SMDATAPARALLEL_WORLD_SIZE",),
        local_rank=("SMDATAPARALLEL_LOCAL_RANK",),
    ),
    _Source(
        name="openmpi",
        rank=("OMPI_COMM_WORLD_RANK",),
        size=("OMPI_COMM_WORLD_SIZE",),
        local_rank=("OMPI_COMM_WORLD_LOCAL_RANK",),
        local_size=("OMPI_COMM_WORLD_LOCAL_SIZE",),
        job=("PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"),
    ),
    # PMIx keeps the size in its server, not in the environment; the launchers on top of it name it in their
    # own way.
    _Source(
        name="pmix",
        rank=("PMIX_RANK",),
        size=("PMI_SIZE", "WORLD_SIZE"),
        local_rank=("PMI_LOCAL_RANK",),
        local_size=("PMI_LOCAL_SIZE",),
        job=("PMIX_NAMESPACE",),
    ),
    _Source(
        name="pmi",
        rank=("PMI_RANK",),
        size=("PMI_SIZE",),
        local_rank=("MPI_LOCALRANKID", "PMI_LOCAL_RANK"),
        local_size=("MPI_LOCALNRANKS", "PMI_LOCAL_SIZE"),
    ),
    _SLURM,
)

#: Every variable that says "you are rank ..."; a launcher removes them from the environment of the job it
#: starts. Slurm's own stay: they describe the allocation too, and whatever mpirun sets ranks before them.
RANK_VARIABLES: tuple[str, ...] = tuple(
    dict.fromkeys(
        name
        for source in _SOURCES
        if source is not _SLURM
        for names in (source.rank, source.size, source.local_rank, source.local_size, source.job)
        for name in names
    )
)


def read_identity(
    env: Mapping[str, str],
    *,
    rank: int | None = None,
    size: int | None = None,
    local_rank: int | None = None,
    local_size: int | None = None,
) -> Identity:
    """Return this process's place in its job; arguments go before the environment.

    Raises:
        SMDDPArgumentError: only one of ``rank`` and ``size`` is given, or they do not fit each other.
        SMDDPConfigError: a variable is not a whole number, out of range, or lacks its counterpart; the
            message names the variable and its value.
    """
    if inherited := inherited_names(env, os.getpid()):
        env = {name: value for name, value in env.items() if name not in inherited}
    winner, rank, size = _world(env, rank, size)
    agreeing = [source for source in _SOURCES if _same_world(env, source, rank, size)]
    local = _local_place(env, agreeing, (rank, size), (local_rank, local_size))
    return Identity(
        rank=rank,
        size=size,
        local_rank=local.rank,
        local_size=local.size,
        source=winner,
        job_id=_job_id(env, agreeing),
        local_known=local.known,
        local_size_known=local.size_known,
    )


def in_slurm_step(env: Mapping[str, str]) -> bool:
    """Return whether ``srun`` started this process as a task (batch scripts and salloc shells are not)."""
    step = env.get("SLURM_STEP_ID", "")
    return step.isdecimal() and int(step) < _FIRST_SPECIAL_SLURM_STEP and bool(env.get("SLURM_PROCID"))


def is_loopback(address: str) -> bool:
    """Return whether an address or host name means this very machine."""
    return address in {"localhost", "::1"} or address.startswith("127.")


def read_whole_number(env: Mapping[str, str], name: str, *, low: int, high: int | None = None) -> int:
    """Return ``env[name]`` as an integer in ``low..high`` (both ends included).

    Raises:
        SMDDPConfigError: it is not one; the message names variable, value and range.
    """
    text = env[name].strip()
    expected = f"at least {low}" if high is None else f"from {low} to {high}"
    # isascii: isdecimal alone also accepts the digits of other scripts
    if text.isascii() and text.isdecimal() and len(text) <= 20:
        value = int(text)
        if value >= low and (high is None or value <= high):
            return value
    msg = f"{name}={env[name]!r}: expected a whole number {expected}"
    raise SMDDPConfigError(msg)


def _world(env: Mapping[str, str], rank: int | None, size: int | None) -> tuple[str, int, int]:
    """Return source name, rank and size."""
    if rank is not None or size is not None:
        return "arguments", *_given_world(rank, size)
    lone: list[str] = []
    for source in _SOURCES:
        if source is _SLURM and not in_slurm_step(env):
            continue
        rank_name, size_name = _first_set(env, source.rank), _first_set(env, source.size)
        if rank_name is not None and size_name is not None:
            size = read_whole_number(env, size_name, low=1)
            rank = read_whole_number(env, rank_name, low=0, high=size - 1)
            _refuse_contradiction(env, lone, f"{rank_name}={rank}, {size_name}={size}", (rank, size))
            return source.name, rank, size
        lone += [name for name in (rank_name, size_name) if name is not None]
    if lone:
        raise SMDDPConfigError(_incomplete(env, lone[0]))
    return "single", 0, 1


def _given_world(rank: Any, size: Any) -> tuple[int, int]:
    try:
        place = operator.index(rank), operator.index(size)
    except TypeError:
        place = (-1, -1)
    if not 0 <= place[0] < place[1]:
        msg = f"rank={rank!r}, size={size!r}: give both, whole numbers with 0 <= rank < size"
        raise SMDDPArgumentError(msg)
    return place


def _refuse_contradiction(env: Mapping[str, str], lone: list[str], found: str, world: tuple[int, int]) -> None:
    """Half a pair that says otherwise than the pair we found is a stray from another job: do not guess."""
    for name in lone:
        expected = world[0] if name in _RANK_NAMES else world[1]
        if read_whole_number(env, name, low=0) != expected:
            msg = f"{name}={env[name]!r} contradicts {found}: unset {name}"
            raise SMDDPConfigError(msg)


_RANK_NAMES = frozenset(name for source in _SOURCES for name in source.rank)


def _incomplete(env: Mapping[str, str], name: str) -> str:
    kind, missing = ("rank", "WORLD_SIZE") if name in _RANK_NAMES else ("world size", "RANK")
    return f"{name}={env[name]!r} gives a {kind}, but {missing} is not set: set {missing}, or unset {name}"


def _same_world(env: Mapping[str, str], source: _Source, rank: int, size: int) -> bool:
    """Return whether a source names exactly this rank and size (one that is unreadable does not)."""
    if source is _SLURM and not in_slurm_step(env):
        return False
    rank_name, size_name = _first_set(env, source.rank), _first_set(env, source.size)
    if rank_name is None or size_name is None:
        return False
    return env[rank_name].strip() == str(rank) and env[size_name].strip() == str(size)


@dataclass(frozen=True, slots=True)
class _LocalPlace:
    rank: int
    size: int
    known: bool = True
    size_known: bool = True


def _local_place(
    env: Mapping[str, str],
    agreeing: list[_Source],
    world: tuple[int, int],
    given: tuple[int | None, int | None],
) -> _LocalPlace:
    rank, size = world
    local_rank, local_size = given
    # LOCAL_RANK and LOCAL_WORLD_SIZE count even without RANK: a wrapper script that sets only them means it.
    sources = [_TORCHRUN, *agreeing]
    doubtful = local_size is None and _is_doubtful_local_size(env, sources, size)
    if local_size is None and not doubtful:
        local_size = _read_local_size(env, sources, size)
    if local_rank is None:
        name = _first_set(env, (name for source in sources for name in source.local_rank))
        if name is not None:
            local_rank = read_whole_number(env, name, low=0, high=(local_size or size) - 1)
    if local_rank is None and local_size in (1, size):
        local_rank = 0 if local_size == 1 else rank
    if local_rank is not None and local_size is not None:
        if not 0 <= local_rank < local_size <= size:
            msg = f"local rank {local_rank} of {local_size} does not fit a world of {size}"
            raise SMDDPArgumentError(msg)
        return _LocalPlace(local_rank, local_size)
    at_least = local_size or (local_rank or 0) + 1
    return _LocalPlace(local_rank or 0, at_least, known=doubtful and local_rank is not None, size_known=False)


def _is_doubtful_local_size(env: Mapping[str, str], sources: list[_Source], size: int) -> bool:
    """Return whether the local size comes from Open MPI 5 and shows that it is not this host's.

    It tells every rank the number of ranks on the *last* host. Where hosts differ that shows, though not in
    every rank, by a local rank beyond it or by a world that it does not divide. Equal to the world size it is
    always right.
    """
    name = _first_set(env, (name for source in sources for name in source.local_size))
    if name != "OMPI_COMM_WORLD_LOCAL_SIZE" or "PRTE_LAUNCHED" not in env:
        return False
    local_size = read_whole_number(env, name, low=1, high=size)
    local_rank = env.get("OMPI_COMM_WORLD_LOCAL_RANK", "0")
    return size % local_size != 0 or (local_rank.isdecimal() and local_size <= int(local_rank) < size)


def _read_local_size(env: Mapping[str, str], sources: list[_Source], size: int) -> int | None:
    name = _first_set(env, (name for source in sources for name in source.local_size))
    if name is not None:
        return read_whole_number(env, name, low=1, high=size)
    if _SLURM in sources and (tasks := _slurm_tasks_here(env)) is not None:
        return tasks
    says_one_host = env.get("SMDATAPARALLEL_USE_SINGLENODE") == "1" or is_loopback(env.get("MASTER_ADDR", ""))
    return size if size == 1 or says_one_host else None


def _slurm_tasks_here(env: Mapping[str, str]) -> int | None:
    """Return this node's entry of Slurm's compressed list, such as ``2(x3),1``; None when unreadable."""
    node = env.get("SLURM_NODEID", "")
    text = env.get("SLURM_STEP_TASKS_PER_NODE") or env.get("SLURM_TASKS_PER_NODE", "")
    if not node.isdecimal():
        return None
    index = int(node)
    for count, nodes in _slurm_runs(text):
        if index < nodes:
            return count
        index -= nodes
    return None


def _slurm_runs(text: str) -> Iterator[tuple[int, int]]:
    """Yield (tasks, number of nodes) of ``2(x3),1``; stops at what it does not understand."""
    for item in text.split(","):
        count, _, repeat = item.strip().partition("(x")
        repeat = repeat.removesuffix(")") or "1"
        if not (count.isdecimal() and repeat.isdecimal()):
            return
        yield int(count), int(repeat)


def _job_id(env: Mapping[str, str], agreeing: list[_Source]) -> str | None:
    for source in agreeing:
        name = _first_set(env, source.job)
        if name is not None:
            return env[name]
        if source is _SLURM:
            return f"slurm-{env.get('SLURM_JOB_ID', '0')}.{env['SLURM_STEP_ID']}"
        # torchrun's default run id is the word none, the same for every job
        run_id = env.get("TORCHELASTIC_RUN_ID", "none") if source is _TORCHRUN else "none"
        if run_id != "none":
            return f"torchelastic-{run_id}"
    return None


def _first_set(env: Mapping[str, str], names: Iterator[str] | tuple[str, ...]) -> str | None:
    """Return the first name with a value; an empty value counts as unset, as shells make them by accident."""
    return next((name for name in names if env.get(name)), None)
