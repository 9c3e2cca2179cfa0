"""Plans of gradient buckets."""

from __future__ import annotations

import numpy as np
from integration.tensorflow.cases.common import Peers

from smddp.tensorflow.buckets import plan_buckets

CAP = 1000


def named_plans(peers: Peers) -> None:
    assert plan_buckets([], CAP) == []
    assert plan_buckets([0, 0], CAP) == [[0, 1]]
    assert plan_buckets([1000], CAP) == [[0]]
    assert plan_buckets([400, 600], CAP) == [[0, 1]]
    assert plan_buckets([600, 600], CAP) == [[0], [1]]
    assert plan_buckets([5000, 1], CAP) == [[0, 1]], "a scrap travels alone"
    assert plan_buckets([1, 5000], CAP) == [[0, 1]], "a scrap travels alone"


def random_plans(peers: Peers) -> None:
    generator = np.random.default_rng(peers.seed)
    for _ in range(200):
        sizes = [int(size) for size in generator.integers(0, 700, generator.integers(1, 40))]
        plan = plan_buckets(sizes, CAP)
        assert [position for bucket in plan for position in bucket] == list(range(len(sizes)))
        held = [sum(sizes[position] for position in bucket) for bucket in plan]
        share = sum(sizes) / max(1, -(-sum(sizes) // CAP))
        assert all(share // 2 <= one for one in held) or len(plan) == 1, (sizes, held)
