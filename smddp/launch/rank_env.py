"""Fill in the variables that frameworks read, from what the launcher of this rank left in the environment.

Nothing that is already set is touched, but for what a parent has made up for itself (`smddp.alone`). Filled:
RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT, SMDATAPARALLEL_WORLD_RANK,
SMDATAPARALLEL_WORLD_SIZE, SMDATAPARALLEL_LOCAL_RANK. A process that no launcher started has LOCAL_RANK and
LOCAL_WORLD_SIZE only once it has joined its world of one: libraries know a launcher's ranks by them, and Lightning
then starts none itself.

The address: 127.0.0.1 when the job is on one host; over several, the first known of
SMDATAPARALLEL_SERVER_ADDR, SM_MASTER_ADDR and the first node of Slurm's list. Otherwise it stays unset rather
than guessed, and whoever needs it says so. The port: SMDATAPARALLEL_SERVER_PORT + 2 (that port and the next
are the server's own), else SM_MASTER_PORT, else one derived from the job's name (`smddp.launch.ports`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, MutableMapping

from smddp.alone import RECORD, drop_inherited, format_record
from smddp.errors import SMDDPConfigError
from smddp.identity import Identity, in_slurm_step, read_identity, read_whole_number
from smddp.launch.ports import job_port
from smddp.launcher_process import local_launcher_name

__all__ = ["fill_local_place_alone", "fill_rank_environment", "first_slurm_host", "local_size_by_slots"]

_TORCH_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
_MAX_PORT = 65535


def fill_rank_environment(
    env: MutableMapping[str, str],
    *,
    identity: Identity | None = None,
    launcher_name: Callable[[], str | None] | None = None,
) -> None:
    """Add the variables of the module's description to ``env`` where they are missing or empty.

    A process that no launcher started becomes rank 0 of a world of one, and SMDDP_ALONE tells its children so.
    Where torch's variables are set only in part and no launcher is in sight, other code is putting a world
    together: ``env`` is left as it is.

    Args:
        env: the environment to complete, such as ``os.environ``.
        identity: who this process is, if the caller has read it already.
        launcher_name: names the running launcher, the same for all ranks of one host; used where the launcher
            gives no job id (MPICH). Replaced in tests.

    Raises:
        SMDDPConfigError: a rank variable is malformed or contradicts another.
    """
    drop_inherited(env, os.getpid())
    if identity is None:
        if _half_filled(env):
            return
        identity = read_identity(env)
    before = dict(env)
    _fill(env, identity, launcher_name or local_launcher_name)
    if identity.source == "single":
        env[RECORD] = format_record(os.getpid(), {name: env[name] for name in env if env[name] != before.get(name)})
    elif RECORD not in env:  # else this process has made up its world before
        if identity.local_known:
            _set_missing(env, "LOCAL_RANK", identity.local_rank)
        if identity.local_size_known:
            _set_missing(env, "LOCAL_WORLD_SIZE", identity.local_size)


def fill_local_place_alone(env: MutableMapping[str, str]) -> None:
    """Add LOCAL_RANK and LOCAL_WORLD_SIZE where this process has made itself a world of one, and has joined it."""
    for name, value in (("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", "1")):
        if env.get(RECORD) and not env.get(name):
            env[name] = value
            env[RECORD] += f" {name}={value}"


def first_slurm_host(nodelist: str) -> str | None:
    """Return the first host of a compressed list (``n[03-05,9]-ib,gpu1``: ``n03-ib``); None when empty."""
    first = re.match(r"(?:\[[^\]]*\]|[^,\[])*", nodelist.strip())
    host = re.sub(r"\[([^\[\],-]*)[^\]]*\]", r"\1", first.group()) if first else ""
    return host or None


def local_size_by_slots(slots: str, identity: Identity) -> int | None:
    """Return how many ranks this host has when hosts with these slots (``2,2,1``) were filled one by one.

    None where this rank's local rank shows that they were not.
    """
    first = 0
    for text in slots.split(","):
        if not text.isdecimal():
            return None
        count = min(int(text), identity.size - first)
        if identity.rank < first + count:
            return count if identity.rank - first == identity.local_rank else None
        first += count
    return None


def _half_filled(env: Mapping[str, str]) -> bool:
    present = {name for name in _TORCH_VARIABLES if env.get(name)}
    if not present or {"RANK", "WORLD_SIZE"} <= present:
        return False
    rest = {name: value for name, value in env.items() if name not in _TORCH_VARIABLES}
    try:
        return read_identity(rest).source == "single"
    except SMDDPConfigError:
        return False  # the same error, told with all variables in view, comes from the caller


def _fill(env: MutableMapping[str, str], identity: Identity, launcher_name: Callable[[], str | None]) -> None:
    _set_missing(env, "RANK", identity.rank)
    _set_missing(env, "WORLD_SIZE", identity.size)
    _set_missing(env, "SMDATAPARALLEL_WORLD_RANK", identity.rank)
    _set_missing(env, "SMDATAPARALLEL_WORLD_SIZE", identity.size)
    _fill_address(env, identity, launcher_name)
    if identity.local_known:
        _set_missing(env, "SMDATAPARALLEL_LOCAL_RANK", identity.local_rank)


def _fill_address(env: MutableMapping[str, str], identity: Identity, launcher_name: Callable[[], str | None]) -> None:
    one_host = identity.local_size_known and identity.local_size == identity.size
    if not env.get("MASTER_ADDR"):
        address = "127.0.0.1" if one_host else _remote_address(env)
        if address is not None:
            env["MASTER_ADDR"] = address
    if not env.get("MASTER_PORT"):
        port = _port(env, identity, launcher_name if one_host else None)
        if port is not None:
            env["MASTER_PORT"] = str(port)


def _remote_address(env: Mapping[str, str]) -> str | None:
    address = env.get("SMDATAPARALLEL_SERVER_ADDR") or env.get("SM_MASTER_ADDR")
    if address:
        return address
    nodelist = env.get("SLURM_STEP_NODELIST") if in_slurm_step(env) else None
    return first_slurm_host(nodelist or env.get("SLURM_JOB_NODELIST") or "")


def _port(env: Mapping[str, str], identity: Identity, launcher_name: Callable[[], str | None] | None) -> int | None:
    if env.get("SMDATAPARALLEL_SERVER_PORT"):
        return read_whole_number(env, "SMDATAPARALLEL_SERVER_PORT", low=1, high=_MAX_PORT - 3) + 2
    if env.get("SM_MASTER_PORT"):
        return read_whole_number(env, "SM_MASTER_PORT", low=1, high=_MAX_PORT - 1)
    job_id = identity.job_id
    if job_id is None and identity.size == 1:
        job_id = f"alone-{os.getpid()}"
    if job_id is None and launcher_name is not None:
        job_id = launcher_name()
    return None if job_id is None else job_port(job_id)


def _set_missing(env: MutableMapping[str, str], name: str, value: int) -> None:
    if not env.get(name):
        env[name] = str(value)
