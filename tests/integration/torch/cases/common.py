"""What the ranks of these cases share: joining, values, and comparing tensors with the oracle bit for bit."""

from __future__ import annotations

import os
import warnings
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist

import smddp.torch  # noqa: F401 - registers the backend

from support import fake_gpu
from support.cases import run_cases
from support.fake_gpu import FakeGpu
from support.oracle import FLOAT8, Array, Placement, place, random_values, reduced

__all__ = [
    "OPS",
    "Peers",
    "assert_bits",
    "assert_over",
    "choose_device",
    "join",
    "run",
    "serve_fake_gpu",
    "to_array",
    "to_tensor",
]

#: By the oracle's names; both bitwise and logical users of bool write BAND and BOR.
OPS = {
    "sum": dist.ReduceOp.SUM,
    "product": dist.ReduceOp.PRODUCT,
    "min": dist.ReduceOp.MIN,
    "max": dist.ReduceOp.MAX,
    "average": dist.ReduceOp.AVG,
    "and": dist.ReduceOp.BAND,
    "or": dist.ReduceOp.BOR,
    "xor": dist.ReduceOp.BXOR,
}


class Peers:
    """The world as the oracle sees it: who is where, and what each rank brings."""

    def __init__(self, seed: int) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.seed = seed
        hosts: list[str] = [""] * self.size
        dist.all_gather_object(hosts, os.environ.get("SMDDP_HOST_ID", ""))
        self.placement: Placement = place(hosts)

    def brought(self, dtype: str, count: int, rank: int) -> Array:
        """What a rank brings."""
        return random_values(dtype, count, np.random.default_rng((self.seed, rank, count)))

    def own(self, dtype: str, count: int) -> torch.Tensor:
        """What this rank brings."""
        return to_tensor(dtype, self.brought(dtype, count, self.rank))

    def all(self, dtype: str, count: int) -> list[Array]:
        """What all ranks bring."""
        return [self.brought(dtype, count, rank) for rank in range(self.size)]

    def reduced(self, dtype: str, op: str, count: int) -> Array:
        """The reduction of what all bring."""
        return reduced(dtype, op, self.all(dtype, count), self.placement)


def join(seed: str = "0", device: str = "cpu") -> Peers:
    """Join the world as an unmodified script does, with new tensors on a device of this type."""
    torch.set_num_threads(1)
    choose_device(device)
    # Newer torch has other names for some collectives; scripts use both.
    warnings.filterwarnings("ignore", "`torch.distributed", FutureWarning)
    dist.init_process_group("smddp", timeout=timedelta(seconds=30))
    return Peers(int(seed))


def choose_device(device: str) -> None:
    """Make this rank's device of this type that of new tensors."""
    if device == "fakegpu":
        serve_fake_gpu()
    elif device == "cuda":
        use_own_gpu()


def serve_fake_gpu() -> FakeGpu:
    """Make the pretended GPU the device of new tensors, and backend smddp serve it."""
    from smddp import _torch

    gpu = fake_gpu.load()
    _torch.serve_device_type("fakegpu")
    dist.Backend.backend_capability["smddp"].append("fakegpu")
    use_own_gpu()
    return gpu


def use_own_gpu() -> None:
    """Make this rank's GPU the device of new tensors; ranks share GPUs where there are fewer."""
    index = int(os.environ["LOCAL_RANK"]) % torch.accelerator.device_count()
    torch.accelerator.set_device_index(index)
    accelerator = torch.accelerator.current_accelerator()
    assert accelerator is not None
    torch.set_default_device(torch.device(accelerator.type, index))


def run(module: str, seed: str, device: str = "cpu") -> None:
    """Runs every case `(peers)` of a module of this folder, in one world."""
    run_cases(f"integration.torch.cases.{module}", join(seed, device), dist.barrier)
    dist.destroy_process_group()


def to_tensor(dtype: str, array: Array) -> torch.Tensor:
    """A new tensor with the oracle's values, on the device of new tensors."""
    return _to_host_tensor(dtype, array).to(torch.get_default_device())


def _to_host_tensor(dtype: str, array: Array) -> torch.Tensor:
    if dtype == "bfloat16":
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    if dtype in FLOAT8:
        return torch.from_numpy(array.copy()).view(getattr(torch, dtype))
    return torch.from_numpy(array.copy())


def to_array(tensor: torch.Tensor) -> Array:
    """The tensor's elements as the oracle holds them, in one dimension."""
    flat = tensor.detach().cpu().reshape(-1)
    if flat.dtype is torch.bfloat16:
        return flat.view(torch.int16).numpy().view(np.uint16)
    if flat.dtype.is_floating_point and flat.itemsize == 1:
        return flat.view(torch.uint8).numpy()
    array: Array = flat.numpy()
    return array


def assert_over(work: dist.Work) -> None:
    """Raises AssertionError unless a work that was waited for is over: on a GPU, once its streams have come so far."""
    if torch.get_default_device().type != "cpu":
        torch.accelerator.synchronize()
    assert work.is_completed()


def assert_bits(tensor: torch.Tensor, expected: Array, what: str = "") -> None:
    """Raises AssertionError unless the tensor holds exactly these bits."""
    got = to_array(tensor)
    assert got.dtype == expected.dtype, f"{what}: {got.dtype} is not {expected.dtype}"
    assert got.tobytes() == expected.tobytes(), f"{what}: {got} is not {expected}"
