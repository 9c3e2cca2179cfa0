"""A process that nobody launched makes itself a world of one; its children must not take that for a launcher's word.

`smddp.launch.rank_env` sets RANK=0, WORLD_SIZE=1 and what goes with them, which every child inherits. SMDDP_ALONE
records whose invention they are: the owner's process number, then NAME=VALUE of each, separated by spaces.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

__all__ = ["RECORD", "drop_inherited", "format_record", "inherited_names"]

RECORD = "SMDDP_ALONE"


def format_record(pid: int, invented: Mapping[str, str]) -> str:
    """Return the value of SMDDP_ALONE for what process `pid` has invented."""
    return " ".join([str(pid), *(f"{name}={value}" for name, value in invented.items())])


def inherited_names(env: Mapping[str, str], pid: int | None) -> tuple[str, ...]:
    """Return the variables that process `pid` must not believe; with None, whoever it is. Pure.

    What has changed since the invention is somebody's word and stays. Where that is the rank or the size, RANK and
    WORLD_SIZE count as they are, and so does where the ranks meet, which the parent may have chosen for all of them;
    its place on the host is not theirs, even if the owner itself has become a rank.
    """
    owner, *pairs = env.get(RECORD, "").split(" ")
    invented = {name: value for name, _, value in (pair.partition("=") for pair in pairs)}
    if not invented:
        return ()
    unchanged = [name for name, value in invented.items() if env.get(name) == value]
    if any(env.get(name) and name not in unchanged for name in ("RANK", "WORLD_SIZE")):
        # torchrun sets every LOCAL_ variable: what looks unchanged is its word
        prefixes = ["SMDATAPARALLEL_"] if "TORCHELASTIC_RUN_ID" in env else ["SMDATAPARALLEL_", "LOCAL_"]
        if (env.get("LOCAL_RANK") or "0") != "0":
            prefixes.append("RANK")  # Lightning gives its ranks size and local rank; the rank it passes as an argument
        return (*(name for name in unchanged if name.startswith(tuple(prefixes))), RECORD)
    return () if owner == str(pid) else (*unchanged, RECORD)


def drop_inherited(env: MutableMapping[str, str], pid: int | None) -> None:
    """Remove `inherited_names` from the environment."""
    for name in inherited_names(env, pid):
        del env[name]
