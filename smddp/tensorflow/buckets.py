"""Which gradients share one collective (pure)."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["plan_buckets"]


def plan_buckets(sizes: Sequence[int], cap_bytes: int) -> list[list[int]]:
    """Share tensors out to buckets of about equal size, as few as `cap_bytes` allows.

    Buckets are runs of neighbours: what is computed together travels together. One may exceed the cap by half a
    tensor, or hold one tensor that is larger. Depends on the arguments alone, so all ranks get the same plan.

    Args:
        sizes: bytes of each tensor.
        cap_bytes: of one bucket; positive.

    Returns:
        The positions in `sizes`, each once, in order.
    """
    total = sum(sizes)
    count = max(1, -(-total // cap_bytes))
    runs: dict[int, list[int]] = {}
    start = 0
    for position, size in enumerate(sizes):
        # By the tensor's middle: a tensor belongs where most of it lies.
        run = min((2 * start + size) * count // (2 * total), count - 1) if total else 0
        runs.setdefault(run, []).append(position)
        start += size
    return _without_scraps(list(runs.values()), sizes, total // count // 2)


def _without_scraps(buckets: list[list[int]], sizes: Sequence[int], smallest: int) -> list[list[int]]:
    # A collective costs more than its bytes: what is left beside a large tensor travels with it.
    joined: list[list[int]] = []
    for bucket in buckets:
        small = sum(sizes[position] for position in bucket) < smallest
        previous_small = bool(joined) and sum(sizes[position] for position in joined[-1]) < smallest
        if joined and (small or previous_small):
            joined[-1] += bucket
        else:
            joined.append(bucket)
    return joined
