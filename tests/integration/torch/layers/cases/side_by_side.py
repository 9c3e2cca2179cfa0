"""smddp and gloo in one process, for different devices, groups, and at once."""

from __future__ import annotations

import threading
from datetime import timedelta

import torch
import torch.distributed as dist
from integration.torch.layers.models import deep, gradients, made, step
from integration.torch.layers.runner import Job
from torch.distributed.device_mesh import init_device_mesh
from torch.nn.parallel import DistributedDataParallel

import smddp.torch

ELEMENTS = 1000


def own(job: Job) -> torch.Tensor:
    return torch.arange(ELEMENTS, dtype=torch.float64) + 1000 * job.rank


def check(job: Job, group: dist.ProcessGroup | None) -> None:
    """One sum over all ranks, of whole numbers: exact in any order."""
    tensor = own(job)
    dist.all_reduce(tensor, group=group)
    assert torch.equal(tensor, sum(torch.arange(ELEMENTS, dtype=torch.float64) + 1000 * r for r in range(job.size)))


def rejoin(job: Job, backend: str, name: str) -> None:
    """Leave the group that the case was given, and make a default group of another backend."""
    store = dist.distributed_c10d._get_default_store()
    dist.destroy_process_group()
    dist.init_process_group(
        backend,
        store=dist.PrefixStore(name, store),
        rank=job.rank,
        world_size=job.size,
        timeout=timedelta(seconds=20),
    )


def gloo_group_beside_smddp(job: Job) -> None:
    gloo = dist.new_group(backend="gloo")
    assert (dist.get_backend(), dist.get_backend(gloo)) == ("smddp", "gloo")
    for _ in range(3):
        check(job, None)
        check(job, gloo)


def smddp_group_beside_gloo(job: Job) -> None:
    rejoin(job, "gloo", "beside")
    group = dist.new_group(backend="smddp")
    assert (dist.get_backend(), dist.get_backend(group)) == ("gloo", "smddp")
    assert smddp.torch.transport_name(group) == "unconnected"
    for _ in range(3):
        check(job, None)
        check(job, group)
    assert smddp.torch.transport_name(group) != "unconnected"


def named_for_devices(job: Job) -> None:
    """Backends named for each device: only the one for "cpu" is asked."""
    for number, backend in enumerate(("cpu:smddp", "cpu:smddp,cuda:gloo", "cpu:smddp,cuda:smddp")):
        rejoin(job, backend, f"devices {number}")
        check(job, None)
        dist.barrier()
        step(DistributedDataParallel(made(deep)), job, 0)
        everyone: list[object] = [None] * job.size
        dist.all_gather_object(everyone, job.rank)
        assert everyone == list(range(job.size))
        assert smddp.torch.transport_name() != "unconnected"


def gloo_for_cpu_tensors(job: Job) -> None:
    """smddp only for a device that nobody uses."""
    rejoin(job, "cpu:gloo,cuda:smddp", "other device")
    check(job, None)


def both_at_once(job: Job) -> None:
    """A thread for each backend; neither waits for the other."""
    groups = [dist.new_group(backend="gloo"), dist.new_group(backend="smddp")]
    problems: list[BaseException] = []

    def use(group: dist.ProcessGroup) -> None:
        try:
            for _ in range(30):
                check(job, group)
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=use, args=(group,)) for group in groups]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems


def two_wrapped_models(job: Job) -> None:
    """One model by gloo and its twin by smddp, trained in turns: the same gradients."""
    models = [made(deep), made(deep)]
    groups = [dist.new_group(backend=backend) for backend in ("gloo", "smddp")]
    wrapped = [DistributedDataParallel(model, process_group=group) for model, group in zip(models, groups, strict=True)]
    for number in range(3):
        for each in wrapped:
            step(each, job, number)
    torch.testing.assert_close(gradients(models[1]), gradients(models[0]), rtol=1e-12, atol=1e-12)


def mesh_with_a_backend_for_each_dimension(job: Job) -> None:
    mesh = init_device_mesh(
        "cpu",
        (2, job.size // 2),
        mesh_dim_names=("far", "near"),
        backend_override={"far": "gloo", "near": "smddp"},
    )
    assert [dist.get_backend(mesh.get_group(name)) for name in ("far", "near")] == ["gloo", "smddp"]
    for name in ("far", "near"):
        tensor = own(job)
        dist.all_reduce(tensor, group=mesh.get_group(name))
        members = dist.get_process_group_ranks(mesh.get_group(name))
        assert torch.equal(tensor, sum(torch.arange(ELEMENTS, dtype=torch.float64) + 1000 * r for r in members))
