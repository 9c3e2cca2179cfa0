"""From options, environment and machine to a `Launch`: every decision of the launcher, and no effect.

Address and port of rank 0. A job on this machine alone meets at 127.0.0.1 and a port found free here. Over
several hosts the address is the name of the first, in the order in which mpirun fills them; where a scheduler
chooses the hosts, Slurm's first node, else this machine (batch scripts run on the first host of their
allocation). What the user set in MASTER_ADDR and MASTER_PORT stays.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from smddp.errors import SMDDPArgumentError
from smddp.identity import RANK_VARIABLES, is_loopback, read_whole_number
from smddp.launch.hosts import place, slot_total
from smddp.launch.mpirun import order_hosts, take_output_folder
from smddp.launch.rank_env import first_slurm_host
from smddp.launch.spec import Host, Launch, LaunchSpec, Machine, Options

__all__ = ["compose_launch"]

_SECRET = "SMDDP_JOB_SECRET"

#: Variables that ranks on other hosts get, if they are set here. None that names the host or its devices.
_FORWARDED = (
    "PATH",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "OMP_NUM_THREADS",
    "MASTER_ADDR",
    "MASTER_PORT",
    "SAGEMAKER_INSTANCE_TYPE",
    "RDMAV_FORK_SAFE",
)
_FORWARDED_PREFIXES = ("SMDDP_", "SMDATAPARALLEL_", "NCCL_", "FI_", "TORCH_")
_PER_HOST = frozenset({"SMDDP_HOST_ID"})

#: What launchers leave in their ranks besides `RANK_VARIABLES`; a nested mpirun would take it for its own.
_RANK_PREFIXES = ("PMIX_", "PMI_", "OMPI_COMM_WORLD_", "TORCHELASTIC_")
_RANK_EXTRAS = frozenset({"GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_NAME", "ROLE_RANK", "ROLE_WORLD_SIZE"})

#: Set by schedulers whose hosts mpirun finds out by itself.
_SCHEDULER_VARIABLES = ("PBS_NODEFILE", "LSB_DJOB_HOSTFILE", "PE_HOSTFILE")


def compose_launch(options: Options, env: Mapping[str, str], machine: Machine) -> Launch:
    """Decide everything about one launch.

    Raises:
        SMDDPArgumentError: the number of ranks does not fit the hosts, or is not known.
        SMDDPConfigError: MASTER_PORT in the environment is not a port.
    """
    ranks = _place_ranks(options, env, machine)
    unset = _stale_names(env)
    kept = {name: value for name, value in env.items() if name not in unset}
    assigned, named, notes = _split_exports(options.exports, env)
    mpi_options, log_folder = _log_folder(options, notes)
    secret = assigned.pop(_SECRET, None)
    added = _address(kept | assigned, ranks.first_host, machine)
    spec = LaunchSpec(
        mpirun=machine.mpirun,
        dialect=machine.dialect,
        process_count=ranks.count,
        program=options.program,
        rank_command=machine.rank_command,
        hosts=ranks.hosts,
        mpi_options=mpi_options,
        forwarded=_forwarded([*kept, *added, _SECRET], named, assigned),
        assignments=tuple(assigned.items()),
        run_as_root=machine.is_root,
        oversubscribe=_needs_oversubscribe(options, env, machine, ranks.count),
        tag_output=options.tag_output,
        log_folder=log_folder,
        binding=options.binding,
        is_watched=True,
    )
    return Launch(
        spec=spec,
        is_local=ranks.is_local,
        timeout=options.timeout,
        set_variables=tuple(added.items()),
        unset_variables=unset,
        needs_secret=secret is None and not env.get(_SECRET),
        secret=secret,
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranks:
    """How many ranks, and where; ``first_host`` is the address of rank 0's for all of them."""

    count: int
    hosts: tuple[Host, ...]
    is_local: bool
    first_host: str


def _place_ranks(options: Options, env: Mapping[str, str], machine: Machine) -> _Ranks:
    count = options.process_count or _default_process_count(options, env, machine)
    hosts = place(options.hosts, count, oversubscribe=options.oversubscribe) if options.hosts else ()
    own_names = _own_names(machine.host_name) | {host.name for host in hosts if machine.is_own_address(host.name)}
    hosts = order_hosts(hosts, machine.dialect, own_names)
    is_local = _is_local(hosts, env, own_names)
    first_host = "127.0.0.1" if is_local else _first_host(env, hosts, own_names, machine)
    return _Ranks(count=count, hosts=hosts, is_local=is_local, first_host=first_host)


def _own_names(host_name: str) -> frozenset[str]:
    return frozenset({"localhost", host_name, host_name.partition(".")[0]})


def _is_here(name: str, own_names: frozenset[str]) -> bool:
    return name in own_names or is_loopback(name)


def _default_process_count(options: Options, env: Mapping[str, str], machine: Machine) -> int:
    if options.hosts:
        return slot_total(options.hosts)
    if _scheduler_chooses_hosts(env):
        if env.get("SLURM_NTASKS"):
            return read_whole_number(env, "SLURM_NTASKS", low=1)
        if env.get("SLURM_JOB_NUM_NODES") != "1":
            msg = "inside an allocation of several hosts the number of ranks is not known: give -np"
            raise SMDDPArgumentError(msg)
    return machine.core_count


def _scheduler_chooses_hosts(env: Mapping[str, str]) -> bool:
    return bool(env.get("SLURM_JOB_ID")) or any(env.get(name) for name in _SCHEDULER_VARIABLES)


def _needs_oversubscribe(options: Options, env: Mapping[str, str], machine: Machine, process_count: int) -> bool:
    """A host list holds enough slots by now, and an allocation is a limit unless the user says otherwise."""
    if options.hosts:
        return False
    if _scheduler_chooses_hosts(env):
        return options.oversubscribe
    return process_count > machine.core_count


def _is_local(hosts: tuple[Host, ...], env: Mapping[str, str], own_names: frozenset[str]) -> bool:
    if not hosts:
        return not _scheduler_chooses_hosts(env)
    return all(_is_here(host.name, own_names) for host in hosts)


def _first_host(env: Mapping[str, str], hosts: tuple[Host, ...], own_names: frozenset[str], machine: Machine) -> str:
    name = hosts[0].name if hosts else first_slurm_host(env.get("SLURM_JOB_NODELIST", ""))
    # the others must reach it: loopback names would lead each host to itself
    return machine.host_name if name is None or _is_here(name, own_names) else name


def _address(env: Mapping[str, str], first_host: str, machine: Machine) -> dict[str, str]:
    """Return MASTER_ADDR and MASTER_PORT as far as ``env`` lacks them."""
    added = {}
    address = env.get("MASTER_ADDR") or first_host
    if not env.get("MASTER_ADDR"):
        added["MASTER_ADDR"] = address
    if env.get("MASTER_PORT"):
        # the port after it is smddp's own
        read_whole_number(env, "MASTER_PORT", low=1, high=65534)
    else:
        is_here = _is_here(address, _own_names(machine.host_name))
        port = machine.free_port() if is_here else machine.any_port()
        added["MASTER_PORT"] = str(port)
    return added


def _split_exports(
    exports: tuple[str, ...], env: Mapping[str, str]
) -> tuple[dict[str, str], frozenset[str], list[str]]:
    """Return (values to set in the ranks, names to forward, notes); of two for one name the last counts."""
    assigned: dict[str, str] = {}
    named: set[str] = set()
    notes = []
    for export in exports:
        name, has_value, value = export.partition("=")
        assigned.pop(name, None)
        if has_value:
            assigned[name] = value
            continue
        found = [name] if name in env else _matching(name, env)
        named.update(found)
        if not found:
            notes.append(f"note: -x {name} ignored: {name} is not set here")
    return assigned, frozenset(named), notes


def _log_folder(options: Options, notes: list[str]) -> tuple[tuple[str, ...], str | None]:
    """Return (options for mpirun, folder for log files); a note says where one that mpirun was asked for has become."""
    mpi_options, folder = take_output_folder(options.mpi_options)
    if folder is None:
        return mpi_options, options.log_folder
    if options.log_folder is not None:
        msg = "--log-dir and, in --mpi-options, --output-filename: give only --log-dir"
        raise SMDDPArgumentError(msg)
    notes.append(
        f"note: --output-filename {folder} is taken for --log-dir: the output of rank N is in {folder}/rank-N.log"
    )
    return mpi_options, folder


def _matching(pattern: str, env: Mapping[str, str]) -> list[str]:
    """Names by shell pattern, such as ``AWS_*``; never what says which rank or host a process is."""
    own = {*RANK_VARIABLES, *_RANK_EXTRAS, *_PER_HOST}
    return [name for name in fnmatch.filter(env, pattern) if name.isidentifier() and name not in own]


def _forwarded(names: list[str], named: Collection[str], assigned: Collection[str]) -> tuple[str, ...]:
    """Return the names, each once, that other hosts must get from here: the user's and the usual ones."""
    return tuple(
        name for name in dict.fromkeys(names) if name not in assigned and (name in named or _is_usually_forwarded(name))
    )


def _is_usually_forwarded(name: str) -> bool:
    return name in _FORWARDED or (name.startswith(_FORWARDED_PREFIXES) and name not in _PER_HOST)


def _stale_names(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return what an outer launcher left of its own rank: the new ranks would believe it."""
    if not any(name in env for name in RANK_VARIABLES):
        return ()
    return tuple(
        name
        for name in env
        if name in RANK_VARIABLES
        or name in _RANK_EXTRAS
        or (name.startswith(_RANK_PREFIXES) and not name.startswith("PMIX_MCA_"))
    )
