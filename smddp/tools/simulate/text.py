"""Bands for people and for programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from smddp.simulation.step import Job, width_of
from smddp.tools.plan.text import duration, size_text

__all__ = ["headline", "job_dict", "job_lines"]

Bands = Mapping[str, tuple[float, float, float]]

_ROWS: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "step_s": ("step", duration),
    "compute_s": ("  compute on its own", duration),
    "waiting_s": ("  waiting for the slowest rank", duration),
    "exposed_s": ("  exposed communication", duration),
    "efficiency": ("scaling efficiency", "{:.3f}".format),
    "bucket_s": ("all_reduce of the largest bucket", duration),
    "bucket_of_wire": ("  its limit by the rails, of that", "{:.3f}".format),
}


def headline(job: Job) -> str:
    """The job on one line."""
    hosts, ranks = len(job.topology.hosts), len(job.topology.host_of_rank)
    return f"{job.model.name} on {hosts} x {job.topology.hosts[0].instance_type} ({ranks} GPUs)"


def job_lines(job: Job, found: Bands, samples: int) -> list[str]:
    """A table with the bands."""
    total = job.model.parameters * width_of(job.dtype)
    largest = max(bucket.nbytes for bucket in job.buckets)
    width = max(len(label) for label, _ in _ROWS.values())
    told = "" if job.costs is None else ", with the costs given"
    return [
        f"simulated: {headline(job)}",
        f"{job.batch} x {job.model.sample} on each GPU; {size_text(total)} of {job.dtype} gradients "
        f"in {len(job.buckets)} buckets of up to {size_text(largest)}, {job.in_flight} in flight{told}",
        "",
        f"{'':<{width}}  {'5 %':>9}  {'50 %':>9}  {'95 %':>9}",
        *(
            f"{label:<{width}}  {'  '.join(f'{form(value):>9}' for value in found[name])}  simulated"
            for name, (label, form) in _ROWS.items()
        ),
        "",
        f"Over {samples} points of the parameters' spreads; nothing of it is measured (docs/simulator.md).",
    ]


def job_dict(job: Job, found: Bands, samples: int, seed: int) -> dict[str, Any]:
    """The same for JSON, with the spreads."""
    return {
        "simulated": True,
        "instance": job.topology.hosts[0].instance_type,
        "hosts": len(job.topology.hosts),
        "gpus": len(job.topology.host_of_rank),
        "model": job.model.name,
        "parameters": job.model.parameters,
        "batch": job.batch,
        "dtype": job.dtype,
        "buckets": [bucket.nbytes for bucket in job.buckets],
        "in_flight": job.in_flight,
        "samples": samples,
        "seed": seed,
        "bands": {name: dict(zip(("p5", "p50", "p95"), values, strict=True)) for name, values in found.items()},
        "spreads": {
            name: {"low": spread.low, "likely": spread.likely, "high": spread.high, "source": spread.source}
            for name, spread in {**job.cluster.spreads(), "utilisation": job.model.utilisation}.items()
        },
    }
