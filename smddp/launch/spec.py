"""The values a launch is described by; the modules beside this one make them and turn them into a command."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Binding", "Dialect", "Host", "Launch", "LaunchSpec", "Machine", "Options"]


class Dialect(enum.Enum):
    """The families of mpirun, by the options they understand."""

    OPEN_MPI_4 = "Open MPI 4"
    OPEN_MPI_5 = "Open MPI 5"
    HYDRA = "MPICH (Hydra)"


class Binding(enum.Enum):
    """What each rank, with its threads and children, may run on."""

    NONE = "none"
    CORE = "core"
    NUMA = "numa"


@dataclass(frozen=True, slots=True)
class Host:
    """A host and the number of ranks it takes; None where the user gave no number."""

    name: str
    slots: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line of smddprun as a launcher, parsed and split, not yet weighed against the machine.

    ``exports`` holds ``NAME`` and ``NAME=VALUE`` in the order given, those inside ``--mpi-options`` first.
    ``distribution`` names the file of a training job (`smddp.launch.job_file`). With ``check`` there may be no program.
    """

    program: tuple[str, ...]
    process_count: int | None = None
    hosts: tuple[Host, ...] = ()
    mpi_options: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    mpirun: str | None = None
    oversubscribe: bool = False
    dry_run: bool = False
    check: bool = False
    timeout: float | None = None
    tag_output: bool = False
    log_folder: str | None = None
    binding: Binding = Binding.NONE
    distribution: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a launch must know about the machine it starts from."""

    mpirun: str
    dialect: Dialect
    core_count: int
    is_root: bool
    host_name: str
    rank_command: tuple[str, ...]
    #: Returns the first of two TCP ports, next to each other, that are free on this machine.
    free_port: Callable[[], int]
    #: Returns a port that looks free from here, for rank 0 on another machine.
    any_port: Callable[[], int]
    #: Whether an IP address is one of this machine's.
    is_own_address: Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """One mpirun command, in no dialect yet.

    ``rank_command`` is smddprun itself, put in front of ``program`` in each rank; ``assignments`` are set
    there. ``forwarded`` names variables of mpirun's own environment that the ranks on other hosts need. With
    ``hosts`` given their slots add up to at least ``process_count``, so ``oversubscribe`` is only for the
    local machine. ``is_watched``: the ranks tell smddprun of their start and end.
    """

    mpirun: str
    dialect: Dialect
    process_count: int
    program: tuple[str, ...]
    rank_command: tuple[str, ...]
    hosts: tuple[Host, ...] = ()
    mpi_options: tuple[str, ...] = ()
    forwarded: tuple[str, ...] = ()
    assignments: tuple[tuple[str, str], ...] = ()
    run_as_root: bool = False
    oversubscribe: bool = False
    tag_output: bool = False
    log_folder: str | None = None
    binding: Binding = Binding.NONE
    is_watched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A command and the changes to the environment it runs in.

    ``is_local``: all ranks are on this machine. ``timeout``: seconds that the job may take.
    ``needs_secret``: the environment has no SMDDP_JOB_SECRET yet. The secret itself is made when the command
    starts and is in no value that could be printed. ``notes`` are lines for stderr.
    """

    spec: LaunchSpec
    is_local: bool
    timeout: float | None = None
    set_variables: tuple[tuple[str, str], ...] = ()
    unset_variables: tuple[str, ...] = ()
    needs_secret: bool = True
    secret: str | None = None
    notes: tuple[str, ...] = ()
