"""The job that the options describe."""

from __future__ import annotations

from statistics import fmean

from smddp.errors import SMDDPArgumentError
from smddp.simulation.buckets import Bucket, by_bytes, by_tensors
from smddp.simulation.cluster import cluster_of
from smddp.simulation.models import MODELS, Model
from smddp.simulation.step import Job, sample_steps, width_of
from smddp.tools.plan.costs import costs_of
from smddp.tools.simulate.options import Options
from smddp.topology import Topology, instance
from smddp.topology.native import balanced_bucket_bytes

__all__ = ["find_job"]


def find_job(options: Options) -> Job:
    """The job; for the bucket "best" the one whose steps are the shortest on average over some points.

    Raises:
        SMDDPArgumentError: there is no such model or instance type, or a number cannot be.
        SMDDPConfigError: the file of costs has a mistake, or nothing for the transport.
    """
    _check(options)
    host = instance(options.instance)
    cluster = cluster_of(options.instance)
    topology = Topology.uniform(host, hosts=options.hosts, ranks_per_host=len(host.gpus))
    model = MODELS[options.model]()
    jobs = [
        Job(
            model=model,
            cluster=cluster,
            topology=topology,
            batch=model.batch if options.batch is None else options.batch,
            dtype=options.dtype,
            buckets=tuple(buckets),
            in_flight=options.in_flight,
            costs=None if options.costs is None else costs_of(options.costs, options.transport),
        )
        for buckets in _buckets(options, model, topology)
    ]
    return jobs[0] if len(jobs) == 1 else min(jobs, key=lambda job: _mean_seconds(job, options.seed))


_TRIAL_POINTS = 20


def _mean_seconds(job: Job, seed: int) -> float:
    return fmean(step.seconds for step in sample_steps(job, _TRIAL_POINTS, seed))


def _buckets(options: Options, model: Model, topology: Topology) -> list[list[Bucket]]:
    """All ways to try."""
    width = width_of(options.dtype)
    balanced = balanced_bucket_bytes(topology)
    ddp = by_tensors(model.gradients, width)
    if options.bucket == "ddp":
        return [ddp]
    if options.bucket == "balanced":
        return [by_bytes(model.gradients, width, balanced)]
    if options.bucket == "best":
        sizes = sorted({balanced >> 2, balanced >> 1, balanced, 2 * balanced, 4 * balanced})
        return [ddp, *(by_bytes(model.gradients, width, size) for size in sizes)]
    return [by_bytes(model.gradients, width, int(options.bucket))]


def _check(options: Options) -> None:
    if options.model not in MODELS:
        msg = f"{options.model!r} is no model; choose one of {', '.join(MODELS)}"
        raise SMDDPArgumentError(msg)
    if options.hosts < 2:
        msg = f"--hosts {options.hosts}: between hosts is what this is about; take at least 2"
        raise SMDDPArgumentError(msg)
    numbers = {"--batch": options.batch, "--in-flight": options.in_flight, "--samples": options.samples}
    for name, number in numbers.items():
        if number is not None and number < 1:
            msg = f"{name} {number}: must be at least 1"
            raise SMDDPArgumentError(msg)
    if isinstance(options.bucket, int) and options.bucket < 1 << 16:
        msg = f"--bucket {options.bucket}: must be at least 64 KiB"
        raise SMDDPArgumentError(msg)
