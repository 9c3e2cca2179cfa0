"""What users of GPUs are told."""

from __future__ import annotations

from support.processes import Template
from support.world import World


def test_copies_to_host_memory_are_told_once(template: Template) -> None:
    env = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    with World(2, "integration.tensorflow.cases.gpus:joins", starter=template, env=env, seconds=50) as world:
        ranks = world.join()
    assert [rank.returncode for rank in ranks] == [0, 0]
    told = [rank.stderr.count("copies their tensors to host memory") for rank in ranks]
    assert told == [1, 0]
