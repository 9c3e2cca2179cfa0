"""torch.distributed.checkpoint: saved by one arrangement of ranks, loaded by the same and by another."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from integration.torch.layers.models import made, step, wide
from integration.torch.layers.runner import Job
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    get_state_dict,
    set_model_state_dict,
    set_state_dict,
)
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

WHOLE = StateDictOptions(full_state_dict=True)


def sharded(mesh: DeviceMesh) -> tuple[nn.Module, torch.optim.Optimizer]:
    model = made(wide)
    fully_shard(model, mesh=mesh)
    return model, torch.optim.Adam(model.parameters(), lr=0.01)


def same_arrangement(job: Job) -> object:
    """Saved, trained on, loaded, trained again: the same losses."""
    model, optimizer = sharded(init_device_mesh("cpu", (job.size,)))
    step(model, job, 0)
    optimizer.step()
    dcp.save(_state(model, optimizer), checkpoint_id=job.folder)
    first = _one_more(model, optimizer, job)

    model, optimizer = sharded(init_device_mesh("cpu", (job.size,)))
    _load(model, optimizer, job)
    second = _one_more(model, optimizer, job)
    assert torch.equal(first, second)
    return first, get_model_state_dict(model, options=WHOLE)


def another_arrangement(job: Job) -> object:
    """Saved by ranks that all share, loaded by pairs that replicate."""
    model, optimizer = sharded(init_device_mesh("cpu", (job.size,)))
    step(model, job, 0)
    optimizer.step()
    saved = get_model_state_dict(model, options=WHOLE)
    dcp.save(_state(model, optimizer), checkpoint_id=job.folder)

    model, optimizer = sharded(init_device_mesh("cpu", (2, job.size // 2), mesh_dim_names=("replicate", "shard")))
    _load(model, optimizer, job)
    loaded = get_model_state_dict(model, options=WHOLE)
    assert all(torch.equal(saved[name], loaded[name]) for name in saved)
    return loaded, get_optimizer_state_dict(model, optimizer, options=WHOLE), _one_more(model, optimizer, job)


def tensors_in_other_placements(job: Job) -> object:
    mesh = init_device_mesh("cpu", (job.size,))
    whole = torch.arange(7 * 9, dtype=torch.float64).reshape(7, 9)
    dcp.save({"x": distribute_tensor(whole, mesh, [Shard(0)])}, checkpoint_id=job.folder)
    loaded = {
        "columns": distribute_tensor(torch.zeros_like(whole), mesh, [Shard(1)]),
        "copies": distribute_tensor(torch.zeros_like(whole), mesh, [Replicate()]),
    }
    for tensor in loaded.values():
        dcp.load({"x": tensor}, checkpoint_id=job.folder)
        assert torch.equal(tensor.full_tensor(), whole)
    return [tensor.to_local() for tensor in loaded.values()]


def asynchronous(job: Job) -> object:
    """A thread saves while training goes on."""
    model, optimizer = sharded(init_device_mesh("cpu", (job.size,)))
    before = get_model_state_dict(model, options=WHOLE)
    saving = dcp.async_save(_state(model, optimizer), checkpoint_id=job.folder, process_group=dist.new_group())
    for number in range(3):
        step(model, job, number)
        optimizer.step()
    saving.result(timeout=20)
    _load(model, optimizer, job)
    after = get_model_state_dict(model, options=WHOLE)
    assert all(torch.equal(before[name], after[name]) for name in before)
    return after


def whole_state_from_rank_0(job: Job) -> object:
    """Only rank 0 has the weights; all get their shards of them."""
    model, _ = sharded(init_device_mesh("cpu", (job.size,)))
    weights = {
        name: torch.full(tensor.shape, 3.0 + number, dtype=torch.float64)
        for number, (name, tensor) in enumerate(model.state_dict().items())
    }
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_model_state_dict(model, weights if job.rank == 0 else {}, options=options)
    return {name: tensor.to_local() for name, tensor in model.state_dict().items() if isinstance(tensor, DTensor)}


def replicated(job: Job) -> object:
    """DistributedDataParallel: rank 0's files serve all."""
    wrapped = DistributedDataParallel(made(wide))
    optimizer = torch.optim.Adam(wrapped.parameters(), lr=0.01)
    step(wrapped, job, 0)
    optimizer.step()
    dcp.save(_state(wrapped, optimizer), checkpoint_id=job.folder)
    expected = _one_more(wrapped, optimizer, job)
    _load(wrapped, optimizer, job)
    assert torch.equal(_one_more(wrapped, optimizer, job), expected)
    return expected


def _state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, object]:
    weights, moments = get_state_dict(model, optimizer)
    return {"model": weights, "optimizer": moments}


def _load(model: nn.Module, optimizer: torch.optim.Optimizer, job: Job) -> None:
    state = _state(model, optimizer)
    dcp.load(state, checkpoint_id=job.folder)
    set_state_dict(model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])


def _one_more(model: nn.Module, optimizer: torch.optim.Optimizer, job: Job) -> torch.Tensor:
    """The loss after one step more."""
    optimizer.zero_grad()
    step(model, job, 1)
    optimizer.step()
    return step(model, job, 2)
