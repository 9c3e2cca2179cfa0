"""The framework-free interface: joining and leaving the ranks of the job."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Mapping
from datetime import timedelta

from smddp import _core
from smddp.alone import drop_inherited
from smddp.collectives import Communicator, to_duration, told_by
from smddp.config import Settings, read_settings
from smddp.config_native import to_native
from smddp.errors import SMDDPStateError
from smddp.identity import Identity, read_identity, read_whole_number
from smddp.launch.rank_env import fill_rank_environment
from smddp.launcher_process import local_launcher_name
from smddp.parting import parting_words

__all__ = [
    "acquire",
    "get_communicator",
    "gpu_transport",
    "init",
    "is_initialized",
    "keyed_group",
    "measuring_group",
    "shutdown",
]

_HIGHEST_PORT = 65535


def acquire(settings: Settings) -> _core.Runtime:
    """The engine of this process, started when there is none; it leaves its groups in order at exit."""
    runtime = _core.Runtime.acquire(to_native(settings))
    # Registered again each time, so that it runs before the handlers of modules imported earlier.
    atexit.unregister(_leave_all)
    atexit.register(_leave_all)
    return runtime


def _leave_all() -> None:
    gpus = _world.keyed_gpus
    if gpus is not None:
        # Not only a group of ranks: others may be at this one's GPU.
        gpus.leave(_grace(), parting_words())
    _core.leave_all(parting_words())


class _World:
    """The process's one communicator made by `init`, and what it needs."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.communicator: Communicator | None = None
        self.native: _core.Communicator | None = None
        self.keyed: _core.KeyedCommunicator | None = None
        self.keyed_gpus: _core.KeyedDeviceGroup | None = None
        self.config: _core.Config | None = None
        self.runtime: _core.Runtime | None = None
        # Lasts as long as the process: after a shutdown some ranks may meet again there before others have left.
        self.store: _core.Store | None = None
        self.lives = 0

    def open_store(self, identity: Identity, settings: Settings) -> _core.Store | None:
        """Where the ranks meet; None for a world of one."""
        if self.store is None and identity.size > 1:
            self.store = _core.open_job_store(_place(identity, settings))
        return self.store if identity.size > 1 else None

    def next_name(self) -> str:
        """A name for the group of all ranks that no earlier life has used; equal on all ranks."""
        self.lives += 1
        return "world" if self.lives == 1 else f"world {self.lives}"


_world = _World()


def init(*, rank: int | None = None, size: int | None = None, timeout: float | None = None) -> Communicator:
    """Join the other ranks of the job; returns when all are there.

    Rank and size come from the launcher's variables (torchrun, smddprun, mpirun, srun) unless given. Not launched,
    it is a world of one.

    Args:
        rank: number of this process; `size` must be given too.
        size: number of processes.
        timeout: deadline of each operation in seconds; default SMDDP_TIMEOUT (300).

    Raises:
        SMDDPStateError: already initialised.
        SMDDPConfigError: the environment is incomplete or holds a bad value.
        SMDDPTimeoutError: ranks did not join; the message names them.
    """
    with _world.lock:
        if _world.communicator is not None:
            problem = "init() called more than once; smddp is already initialised (see smddp.shutdown)"
            raise SMDDPStateError(told_by(_world.communicator.rank, problem))
        settings = read_settings()
        drop_inherited(os.environ, os.getpid())
        identity = read_identity(os.environ, rank=rank, size=size)
        config = to_native(settings)
        if timeout is not None:
            config.timeout = to_duration(identity.rank, timeout, shortest=0.001)
        runtime = acquire(settings)
        store = _world.open_store(identity, settings)
        native = runtime.create_communicator(identity.rank, identity.size, _world.next_name(), store, config)
        native.connect()
        log_version(settings, identity.rank, f"{identity.size} ranks, {native.transport}")
        _world.runtime = runtime
        _world.config = config
        _world.native = native
        _world.communicator = Communicator(native, identity)
        return _world.communicator


def _place(identity: Identity, settings: Settings) -> _core.JobPlace:
    place = _core.JobPlace()
    place.rank, place.size = identity.rank, identity.size
    place.local_size = identity.local_size if identity.local_known else identity.size
    env = dict(os.environ)
    if place.local_size < place.size:
        # What a launcher of several hosts tells in other words. Ranks of one host meet without an address.
        fill_rank_environment(env, identity=identity)
    place.master_addr = env.get("MASTER_ADDR", "")
    place.port = _store_port(settings, env)
    place.job_id = identity.job_id or ""
    if not place.job_id and place.local_size == place.size:
        place.job_id = local_launcher_name() or ""
    place.job_secret = settings.job_secret
    if identity.local_known and place.local_size == place.size and place.master_addr and not settings.store_port:
        _meet_by_name(place)
    return place


def _meet_by_name(place: _core.JobPlace) -> None:
    """Let ranks of one host meet at a name that only processes of this host can take.

    The port after MASTER_PORT may be any program's by the time rank 0 takes it: torchrun picks its own at random
    among those that outgoing connections get.
    """
    place.job_id = f"{place.job_id}:{place.port}"
    place.master_addr = ""


def _store_port(settings: Settings, env: Mapping[str, str]) -> int:
    # MASTER_PORT itself belongs to torch, which may run beside us.
    if settings.store_port:
        return settings.store_port
    for name, offset in (("SMDATAPARALLEL_SERVER_PORT", 0), ("MASTER_PORT", 1)):
        if env.get(name):
            return read_whole_number(env, name, low=1, high=_HIGHEST_PORT - offset) + offset
    return 0


_version_told = False


def log_version(settings: Settings, rank: int, facts: str) -> None:
    """The one line on standard output that SMDDP_DEBUG=VERSION asks for: once, by rank 0 of the job."""
    global _version_told
    if rank == 0 and not _version_told and settings.log_level in ("VERSION", "INFO", "TRACE"):
        from smddp import __version__

        _version_told = True
        # One write, because some launchers tag each write as a line of its own.
        sys.stdout.write(f"smddp {__version__}, {facts}\n")
        sys.stdout.flush()


def is_initialized() -> bool:
    """Whether `init` was called and `shutdown` was not."""
    return _world.communicator is not None


def get_communicator() -> Communicator:
    """The communicator that `init` made; raises SMDDPStateError before that."""
    if _world.communicator is None:
        msg = "smddp is not initialised; call smddp.init() first"
        raise SMDDPStateError(msg)
    return _world.communicator


def keyed_group() -> _core.KeyedCommunicator:
    """The group of all ranks in which graph ops run, made at the first call. All ranks call it.

    Raises:
        SMDDPStateError: not initialised.
    """
    communicator = get_communicator()
    with _world.lock:
        if _world.keyed is None:
            runtime, config = _world.runtime, _world.config
            assert runtime is not None
            assert config is not None
            name, store = f"keyed {_world.lives}", _world.store
            _world.keyed = _core.KeyedCommunicator.create(
                runtime, communicator.rank, communicator.size, name, store, config
            )
            _core.KeyedCommunicator.set_of_process(_world.keyed)
            # Does nothing, and needs nothing of CUDA, before tensors of a GPU come.
            _world.keyed_gpus = _core.KeyedDeviceGroup(runtime, f"{name} gpus", store, config, _world.keyed)
            _core.KeyedDeviceGroup.set_of_process(_world.keyed_gpus)
        return _world.keyed


def gpu_transport() -> str:
    """How tensors of GPUs reach the other ranks in graph ops; "unconnected" before their first collective.

    Raises:
        SMDDPStateError: not initialised.
    """
    keyed_group()
    gpus = _world.keyed_gpus
    return "unconnected" if gpus is None else gpus.transport()


def measuring_group(name: str, *, algorithm: str) -> Communicator:
    """Another group of all ranks, in which these algorithms are used in any order of sums. All ranks call it.

    It ends with its last reference, or with the process.

    Args:
        name: equal on all ranks, and that of no other group.
        algorithm: as SMDDP_ALGORITHM.

    Raises:
        SMDDPStateError: not initialised.
        SMDDPConfigError: there is no such algorithm.
    """
    world = get_communicator()
    identity = read_identity(os.environ, rank=world.rank, size=world.size)
    with _world.lock:
        assert _world.runtime is not None
        config = to_native(read_settings())
        config.algorithm, config.order = algorithm, "any"
        native = _world.runtime.create_communicator(identity.rank, identity.size, name, _world.store, config)
    native.connect()
    return Communicator(native, identity)


def _grace() -> timedelta:
    return _world.config.leave_grace if _world.config is not None else timedelta()


def shutdown() -> None:
    """Finish what runs, tell the other ranks that this one leaves, and release everything. Legal at any time."""
    why = parting_words()
    with _world.lock:
        native, _world.native = _world.native, None
        keyed, _world.keyed = _world.keyed, None
        gpus, _world.keyed_gpus = _world.keyed_gpus, None
        _world.communicator = _world.runtime = None
        if gpus is not None:
            _core.KeyedDeviceGroup.set_of_process(None)
            gpus.leave(_grace(), why)
        if keyed is not None:
            _core.KeyedCommunicator.set_of_process(None)
            keyed.leave(_grace(), why)
        if native is not None:
            native.leave(_grace(), why)
