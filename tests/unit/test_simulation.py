"""Training steps in virtual time: models, buckets, spreads, bands."""

from __future__ import annotations

import pytest

from smddp.simulation.buckets import by_bytes, by_tensors
from smddp.simulation.cluster import cluster_of
from smddp.simulation.models import MODELS
from smddp.simulation.spread import Spread, latin_hypercube, percentiles
from smddp.simulation.step import Job, bands, likely_step, sample_steps
from smddp.topology import Topology, instance


def test_sizes_of_models() -> None:
    # As published: 340 million, 1.5 billion (1,558 with its embeddings), 25.6 million.
    expected = {"bert-large": 336_226_108, "gpt2-xl": 1_557_611_200, "resnet-50": 25_557_032}
    assert {name: make().parameters for name, make in MODELS.items()} == expected


@pytest.mark.parametrize("name", MODELS)
def test_buckets_have_all_bytes_in_the_order_of_backward(name: str) -> None:
    model = MODELS[name]()
    for buckets in (by_tensors(model.gradients, 2), by_bytes(model.gradients, 2, 7 << 20)):
        assert sum(bucket.nbytes for bucket in buckets) == 2 * model.parameters
        ready = [bucket.ready for bucket in buckets]
        assert ready == sorted(ready)
        assert ready[-1] == pytest.approx(1)
    assert max(bucket.nbytes for bucket in by_bytes(model.gradients, 2, 7 << 20)) == 7 << 20


def test_spreads_have_half_of_the_chance_on_each_side() -> None:
    spread = Spread(low=1, likely=2, high=5, source="")
    assert [spread.at(quantile) for quantile in (0, 0.25, 0.5, 0.75, 1)] == [1, 1.5, 2, 3.5, 5]


def test_a_latin_hypercube_meets_every_part_of_every_dimension_once() -> None:
    points = latin_hypercube(3, 20, seed=4)
    assert points == latin_hypercube(3, 20, seed=4)
    assert points != latin_hypercube(3, 20, seed=5)
    for dimension in range(3):
        assert sorted(int(point[dimension] * 20) for point in points) == list(range(20))


def test_percentiles() -> None:
    assert percentiles(range(101)) == (5, 50, 95)


def job(hosts: int, batch: int = 16) -> Job:
    model = MODELS["bert-large"]()
    return Job(
        model=model,
        cluster=cluster_of("p4d.24xlarge"),
        topology=Topology.uniform(instance("p4d.24xlarge"), hosts=hosts, ranks_per_host=8),
        batch=batch,
        dtype="float16",
        buckets=tuple(by_tensors(model.gradients, 2)),
        in_flight=4,
    )


def test_a_step_is_compute_and_what_comes_on_top() -> None:
    step = likely_step(job(4))
    assert step.seconds == pytest.approx(step.compute + step.waiting + step.exposed)
    assert 0 < step.efficiency < 1
    assert step.bucket > step.wire
    assert all(end > ready for ready, end in zip(step.ready, step.ends, strict=True))
    # 1,033 GFLOP a sequence at 312 TFLOP/s and a third of it.
    assert step.compute == pytest.approx(16 * 1032.886603776e9 / (312e12 * 0.33))


def test_less_compute_hides_less_communication() -> None:
    assert likely_step(job(16, batch=1)).efficiency < likely_step(job(16, batch=16)).efficiency


def test_bands_hold_the_likely_step() -> None:
    found = bands(sample_steps(job(8), 20, seed=3))
    assert found == bands(sample_steps(job(8), 20, seed=3))
    for low, median, high in found.values():
        assert low <= median <= high
    low, _, high = found["efficiency"]
    assert low <= likely_step(job(8)).efficiency <= high
