"""What probes tell of their hosts: plain values, which travel as JSON.

Sizes are in bytes, times in seconds. None stands for "unlimited" in limits, and elsewhere for "not known". Every field
has a default, and `decode` passes over fields it does not know: hosts may have different versions of smddp.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "Environment",
    "Fabric",
    "HostFacts",
    "Interface",
    "Leftovers",
    "Limits",
    "Mpi",
    "Network",
    "PairFacts",
    "Program",
    "Route",
    "Software",
    "Store",
    "System",
    "decode",
    "encode",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """Versions, and what can be loaded.

    Args:
        packages: version by name of the distribution, of those that are installed.
        built_for: by native module (_core, _torch, _tf) the framework's version that it was built for; "" where it
            does not say. Modules that were not built are missing.
        load_errors: last line of the error, by the module that did not load.
        old_module: where smdistributed.dataparallel is imported from: "smddp", "other" or "missing".
        smddp_copies: folders on Python's path that hold an smddp; the first one is used.
    """

    python: str = ""
    executable: str = ""
    architecture: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    built_for: Mapping[str, str] = field(default_factory=dict)
    load_errors: Mapping[str, str] = field(default_factory=dict)
    old_module: str = "smddp"
    smddp_copies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """An mpirun and what it says of itself."""

    path: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mpi:
    """The mpirun that smddprun uses; `problem` says why there is none. `others` are further ones on the PATH."""

    mpirun: Program | None = None
    problem: str = ""
    others: tuple[Program, ...] = ()
    programs: tuple[str, ...] = ()  # of those that the SageMaker toolkit looks for, which are on the PATH


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Soft limits of the process (ulimit)."""

    open_files: int | None = None
    open_files_hard: int | None = None
    processes: int | None = None
    locked_memory: int | None = None
    address_space: int | None = None
    file_size: int | None = None
    tasks: int | None = None  # of the control group
    tasks_used: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A folder in which programs keep temporary files; `problem` says why nothing can be written."""

    path: str = ""
    kind: str = ""
    size: int = 0
    free: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """Kernel, processors and memory.

    Args:
        cores_seen: processors that are online.
        cores_usable: those in the process's affinity mask.
        cores_granted: what the control group's quota is worth, in processors.
        memory_limit: of the control group.
        calls: error by system call that the engine needs and that does not work here.
    """

    host_name: str = ""
    host_id: str = ""
    kernel: str = ""
    cores_seen: int = 0
    cores_usable: int = 0
    cores_granted: float | None = None
    load: float = 0.0
    memory: int = 0
    memory_available: int = 0
    memory_limit: int | None = None
    overcommit: int = 0
    calls: Mapping[str, str] = field(default_factory=dict)
    shared_memory: Store = field(default_factory=Store)
    temporary: Store = field(default_factory=Store)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """An IPv4 address of an interface."""

    name: str = ""
    address: str = ""
    prefix: int = 0
    mtu: int = 0
    is_up: bool = True
    is_loopback: bool = False
    is_likely: bool = True  # False for bridges of containers and the like: used if nothing else is there


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Interfaces in the order in which the engine tries them, and what names mean here.

    Args:
        own_addresses: of the host's own name.
        own_problem: why that name has none.
        listen_port: a free port of the kind that the engine listens on.
        held_ports: who listens already, by those ports of the job that must be free here.
        outgoing_ports: first and last port of connections that programs make.
        interface_names: all, also those without an address.
    """

    interfaces: tuple[Interface, ...] = ()
    own_addresses: tuple[str, ...] = ()
    own_problem: str = ""
    listen_port: int = 0
    held_ports: Mapping[str, str] = field(default_factory=dict)
    outgoing_ports: tuple[int, ...] = ()
    interface_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Variables that matter (no secret among them), and what is wrong with them by themselves.

    Args:
        bad_settings: message by variable.
        unknown_settings: the nearest known name, or "", by variable.
        rank_problem: why the launchers' variables do not tell a rank.
        hidden_libraries: files in LD_LIBRARY_PATH that are loaded instead of ours.
        missing_preloads: files in LD_PRELOAD that do not exist.
        log_problem: why the log file cannot be written.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    bad_settings: Mapping[str, str] = field(default_factory=dict)
    unknown_settings: Mapping[str, str] = field(default_factory=dict)
    rank_problem: str = ""
    hidden_libraries: tuple[str, ...] = ()
    missing_preloads: tuple[str, ...] = ()
    log_problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fabric:
    """Fast networks; `providers` are libfabric's, None where fi_info is not installed."""

    efa: tuple[str, ...] = ()
    infiniband: tuple[str, ...] = ()
    providers: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """What dead jobs have left: size by file in shared memory, command by process number."""

    files: Mapping[str, int] = field(default_factory=dict)
    processes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """Everything about one host; `rank` is the probe's."""

    rank: int = 0
    software: Software = field(default_factory=Software)
    mpi: Mpi = field(default_factory=Mpi)
    limits: Limits = field(default_factory=Limits)
    system: System = field(default_factory=System)
    network: Network = field(default_factory=Network)
    environment: Environment = field(default_factory=Environment)
    fabric: Fabric = field(default_factory=Fabric)
    leftovers: Leftovers = field(default_factory=Leftovers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One address of the other host, as seen from this one.

    Args:
        address: "10.0.0.2", or "name:port" for the address of rank 0 as the job gets it.
        problem: why there was no connection, or nobody answered; "" if all went well.
        is_slow: that took long to find out, as nothing came back, not even a refusal.
        loses_large: connected, and short messages arrived, long ones did not.
        round_trip: of a short message, the fastest of a few.
        clock_offset: the other host's clock minus this one's, known to half a round trip.
    """

    address: str = ""
    problem: str = ""
    is_slow: bool = False
    loses_large: bool = False
    round_trip: float = 0.0
    clock_offset: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFacts:
    """What probe `rank` saw of probe `peer`, by routes in the engine's order; `store`: is it rank 0's address?"""

    rank: int = 0
    peer: int = 0
    is_store: bool = False
    routes: tuple[Route, ...] = ()


def encode(facts: Any) -> dict[str, Any]:
    """Return a dataclass of this module as what JSON can hold."""
    return dataclasses.asdict(facts)


def decode(kind: Any, value: Any) -> Any:
    """Return what `encode` has made of a `kind`; also of one with other fields, from another version.

    Raises:
        TypeError: it is something else.
    """
    arguments = typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, dict):
            msg = f"{kind.__name__}: expected a dictionary, not {value!r}"
            raise TypeError(msg)
        types = typing.get_type_hints(kind)
        return kind(**{name: decode(types[name], value[name]) for name in types if name in value})
    if typing.get_origin(kind) is tuple:
        return tuple(decode(arguments[0], item) for item in value)
    some = [argument for argument in arguments if argument is not type(None)]
    if len(some) < len(arguments):  # something, or None
        return None if value is None else decode(some[0], value)
    return value
