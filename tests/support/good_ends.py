"""Cases in which every rank ends well and has nothing to warn of."""

from __future__ import annotations

from collections.abc import Sequence

from support.world import Ended, World

__all__ = ["CASE_SECONDS", "CHUNK_BYTES", "run_well"]

CASE_SECONDS = 50.0
#: Small, so that small tensors already take many rounds.
CHUNK_BYTES = "4KiB"


def run_well(world: World, own_log: Sequence[str]) -> list[Ended]:
    """Run a world to its end.

    Args:
        world: not started yet.
        own_log: what lines contain that a framework prints on standard error in good runs, too.

    Raises:
        AssertionError: a rank failed, printed another line there, or still ran at the deadline.
    """
    with world:
        ended = world.join()
        for rank in ended:
            unexpected = [line for line in rank.stderr.splitlines() if not any(text in line for text in own_log)]
            assert (rank.returncode, unexpected) == (0, []), f"rank {rank.rank} of {world.case}"
        return ended
