"""``smddprun --rank``: what the launcher puts in front of the program in each rank.

Its options are the launcher's word, not for people:

    --slots 2,2,1   numbers of ranks on the hosts, where mpirun tells its ranks a wrong local size (Open MPI 5)
    --watch         tell the launcher of the program's start and end
    --tag-output    begin each line of output with the rank
    --log-dir DIR   write the output to DIR/rank-N.log, too
    --bind HOW      which processors the rank may use (`smddp.launch.binding`)

With one of --watch, --tag-output and --log-dir this process stays as the program's parent, else it becomes the program.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import NoReturn

from smddp.errors import SMDDPArgumentError
from smddp.identity import Identity, read_identity
from smddp.launch.program import become_program, tell_errors
from smddp.launch.rank_env import local_size_by_slots

__all__ = ["run_rank"]

_FLAGS = ("--watch", "--tag-output")
_WITH_VALUE = ("--slots", "--log-dir", "--bind")


@dataclass(frozen=True, slots=True)
class _Options:
    values: dict[str, str]
    flags: frozenset[str]
    program: list[str]


def run_rank(words: list[str], identity: Identity, usage: str) -> NoReturn:
    """Run the program in ``words``, as the rank that ``identity`` says.

    Raises:
        SMDDPError: it cannot be done.
    """
    options = _read(words)
    local_size = local_size_by_slots(options.values.get("--slots", ""), identity)
    if local_size is not None:
        os.environ.setdefault("LOCAL_WORLD_SIZE", str(local_size))
        identity = read_identity(os.environ)
    if "--bind" in options.values:
        from smddp.launch.binding import bind

        bind(options.values["--bind"], identity)
    if not options.flags and "--log-dir" not in options.values:
        become_program(options.program, identity, usage)
    # imported here: whoever has no launcher above needs none of it
    from smddp.launch.supervision.watch import Wishes, watch

    def become() -> None:
        tell_errors("smddprun", lambda: become_program(options.program, identity, usage))

    wishes = Wishes(
        tells="--watch" in options.flags,
        tags="--tag-output" in options.flags,
        log=_log_file(options.values.get("--log-dir"), identity.rank),
    )
    watch(identity.rank, become, wishes)


def _read(words: list[str]) -> _Options:
    values = {}
    flags = set()
    rest = list(words)
    while rest and rest[0] in (*_FLAGS, *_WITH_VALUE):
        word = rest.pop(0)
        if word in _FLAGS:
            flags.add(word)
        else:
            values[word] = rest.pop(0) if rest else ""
    return _Options(values, frozenset(flags), rest)


def _log_file(folder: str | None, rank: int) -> str | None:
    if folder is None:
        return None
    try:
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103 (start-up)
    except OSError as error:
        msg = f"rank {rank}: --log-dir {folder}: {error.strerror}"
        raise SMDDPArgumentError(msg) from error
    return os.path.join(folder, f"rank-{rank}.log")  # noqa: PTH118 (start-up)
