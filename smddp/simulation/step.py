"""One training step with data parallelism in virtual time, and many of them over the spreads of the parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from smddp.costs import Costs
from smddp.costs.native import overlaid
from smddp.simulation.buckets import Bucket
from smddp.simulation.cluster import Cluster, Point
from smddp.simulation.models import Model
from smddp.simulation.native import Call, simulate
from smddp.simulation.spread import Spread, latin_hypercube, percentiles
from smddp.topology import Topology

__all__ = ["Job", "Step", "bands", "likely_step", "run_step", "sample_steps", "width_of"]

_FORWARD = 1 / 3  # of compute: backward multiplies twice where forward does once
_WIDTHS = {"float16": 2, "bfloat16": 2, "float32": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is trained where: `batch` samples on each GPU, gradients of `dtype` in these buckets.

    What `costs` knows counts instead of what the cluster's spreads say.
    """

    model: Model
    cluster: Cluster
    topology: Topology
    batch: int
    dtype: str
    buckets: tuple[Bucket, ...]
    in_flight: int
    costs: Costs | None = None

    @property
    def gpus_per_host(self) -> int:
        """GPUs, and ranks, of a host."""
        return len(self.topology.host_of_rank) // len(self.topology.hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one step takes, in seconds; all of it simulated.

    Attributes:
        compute: forward and backward of a rank on its own.
        waiting: for the slowest rank's compute.
        exposed: until the last all_reduce has ended, after that.
        ready: of each bucket, from the begin of the slowest rank's compute.
        ends: of each all_reduce, likewise.
        bucket: one all_reduce of the largest bucket on its own.
        wire: the least that this can take on the rails, at their full rate.
    """

    compute: float
    waiting: float
    exposed: float
    ready: tuple[float, ...]
    ends: tuple[float, ...]
    bucket: float
    wire: float

    @property
    def seconds(self) -> float:
        """The whole step."""
        return self.compute + self.waiting + self.exposed

    @property
    def efficiency(self) -> float:
        """The part of a GPU's rate on its own that each GPU keeps."""
        return self.compute / self.seconds


def width_of(dtype: str) -> int:
    """Bytes of an element of gradients."""
    return _WIDTHS[dtype]


def run_step(job: Job, values: Mapping[str, float]) -> Step:
    """Simulate a step with one value for each spread of the cluster, and "utilisation".

    Raises:
        SMDDPArgumentError: the plans have too many steps.
    """
    compute = job.batch * job.model.flops / (1e12 * values["tflops"] * values["utilisation"])
    forward, backward = compute * _FORWARD, compute * (1 - _FORWARD) * (1 + values["interference"])
    network = Point(values).network(job.topology, job.gpus_per_host)
    if job.costs is not None:
        network = replace(network, costs=overlaid(network.settings().costs, job.costs))
    ready = [forward + backward * bucket.ready for bucket in job.buckets]
    calls = [
        Call(nbytes=bucket.nbytes, dtype=job.dtype, op="average", ready=when)
        for bucket, when in zip(job.buckets, ready, strict=True)
    ]
    ends = simulate(calls, network, in_flight=job.in_flight).ends
    largest = max(bucket.nbytes for bucket in job.buckets)
    hosts, ranks = len(job.topology.hosts), len(job.topology.host_of_rank)
    return Step(
        compute=compute,
        # The expected largest of so many normal deviates, from above.
        waiting=values["slowest"] * compute * math.sqrt(2 * math.log(ranks)),
        exposed=max(forward + backward, *ends) - compute,
        ready=tuple(ready),
        ends=tuple(ends),
        bucket=simulate([Call(nbytes=largest, dtype=job.dtype, op="average")], network).seconds,
        wire=2 * (hosts - 1) / hosts * largest / (1e9 * job.topology.hosts[0].gbps / 8),
    )


def likely_step(job: Job) -> Step:
    """With every parameter at its likely value."""
    return run_step(job, {name: spread.likely for name, spread in _spreads(job).items()})


def sample_steps(job: Job, samples: int, seed: int) -> list[Step]:
    """Over all spreads at once, by a latin hypercube; the same for the same seed."""
    spreads = _spreads(job)
    points = latin_hypercube(len(spreads), samples, seed)
    return [
        run_step(job, {name: spread.at(at) for (name, spread), at in zip(spreads.items(), point, strict=True)})
        for point in points
    ]


def bands(steps: Sequence[Step]) -> dict[str, tuple[float, float, float]]:
    """5 %, 50 % and 95 % of what the steps take."""
    return {
        "step_s": percentiles([step.seconds for step in steps]),
        "compute_s": percentiles([step.compute for step in steps]),
        "efficiency": percentiles([step.efficiency for step in steps]),
        "exposed_s": percentiles([step.exposed for step in steps]),
        "waiting_s": percentiles([step.waiting for step in steps]),
        "bucket_s": percentiles([step.bucket for step in steps]),
        "bucket_of_wire": percentiles([step.wire / step.bucket for step in steps]),
    }


def _spreads(job: Job) -> dict[str, Spread]:
    return {**job.cluster.spreads(), "utilisation": job.model.utilisation}
