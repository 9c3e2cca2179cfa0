"""Train a small transformer with DistributedDataParallel on GPUs, in bfloat16; on the CPU where there is none.

Start a rank for each GPU; ranks share GPUs where there are fewer:

    smddprun -np 8 python examples/07_torch_ddp_gpu.py --width 512 --layers 6 --batch 1024
    torchrun --nproc-per-node 8 examples/07_torch_ddp_gpu.py --width 512 --layers 6 --batch 1024
    smddprun -np 2 python examples/07_torch_ddp_gpu.py

The model learns to count: each line starts anywhere and goes on in steps of its own, modulo 16, as in 3 8 13 2 7. The
first step of a line cannot be foreseen, and all others can, once two numbers are seen. So the loss falls to ln(16) / 15
= 0.18, and no further.
"""

from __future__ import annotations

import argparse
import os
import time

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import smddp.torch  # registers the backend

NUMBERS = 16
LENGTH = 16


def own_device() -> torch.device:
    """This rank's GPU; the CPU where there is none."""
    if not torch.cuda.is_available():
        torch.set_num_threads(1)  # the ranks share the cores
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device


def counting_lines(lines: int, seed: int) -> TensorDataset:
    """Lines of LENGTH numbers; the same on every rank."""
    generator = torch.Generator().manual_seed(seed)
    starts, steps = torch.randint(NUMBERS, (2, lines, 1), generator=generator)
    return TensorDataset((starts + steps * torch.arange(LENGTH)) % NUMBERS)


class CountingTransformer(nn.Module):
    """Predicts the next number at every place of a line."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.numbers = nn.Embedding(NUMBERS, width)
        self.places = nn.Embedding(LENGTH, width)
        layer = nn.TransformerEncoderLayer(
            width, nhead=4, dim_feedforward=4 * width, dropout=0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, NUMBERS)

    def forward(self, lines: torch.Tensor) -> torch.Tensor:
        """(lines, places) numbers to (lines, places, NUMBERS) logits."""
        places = torch.arange(lines.shape[1], device=lines.device)
        unseen = nn.Transformer.generate_square_subsequent_mask(lines.shape[1], device=lines.device)
        return self.head(self.layers(self.numbers(lines) + self.places(places), mask=unseen, is_causal=True))


def train_epoch(
    model: nn.Module, loader: DataLoader, device: torch.device, optimizer: torch.optim.Optimizer
) -> torch.Tensor:
    """Train on each batch once; returns the mean loss of this rank's lines, still on the device."""
    total = torch.zeros((), device=device)
    for (lines,) in loader:
        lines = lines.to(device, non_blocking=True)
        optimizer.zero_grad(set_to_none=True)
        # bfloat16 has the range of float32, so that gradients need no GradScaler; weights and gradients stay float32.
        with torch.autocast(device.type, dtype=torch.bfloat16):
            logits = model(lines[:, :-1])
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), lines[:, 1:].flatten())
        loss.backward()  # gradients are averaged over the ranks while backward still runs
        optimizer.step()
        total += loss.detach()  # asks nothing of the GPU that the CPU has to wait for
    return total / len(loader)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5, help="passes over the lines")
    parser.add_argument("--lines", type=int, default=4096, help="to train on")
    parser.add_argument("--batch", type=int, default=64, help="lines per step, over all ranks")
    parser.add_argument("--width", type=int, default=64, help="of the model; a multiple of 4")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--seed", type=int, default=0, help="of weights, lines and shuffling")
    options = parser.parse_args()

    device = own_device()
    # With device_id all ranks meet here, and with NCCL join it, and not in the first step.
    dist.init_process_group("smddp", device_id=device if device.type == "cuda" else None)
    rank, world = dist.get_rank(), dist.get_world_size()
    if rank == 0 and device.type == "cpu":
        print("no GPU that torch can use: training on the CPU")

    torch.manual_seed(options.seed)
    model = CountingTransformer(options.width, options.layers).to(device)
    replica = DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)
    optimizer = torch.optim.AdamW(replica.parameters(), lr=options.lr)
    dataset = counting_lines(options.lines, options.seed)
    sampler = DistributedSampler(dataset, seed=options.seed)  # gives each rank its part of the lines
    loader = DataLoader(dataset, options.batch // world, sampler=sampler, pin_memory=device.type == "cuda")

    tokens = options.epochs * len(sampler) * world * (LENGTH - 1)
    started = time.perf_counter()
    for epoch in range(options.epochs):
        sampler.set_epoch(epoch)
        loss = train_epoch(replica, loader, device, optimizer)
        dist.all_reduce(loss, op=dist.ReduceOp.AVG)
        if rank == 0:
            print(f"epoch {epoch + 1}: loss {loss.item():.4f}", flush=True)
    if device.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started

    where = f"{world} {'rank' if world == 1 else 'ranks'}, {device.type}"
    transport = smddp.torch.transport_name(device=device.type)
    dist.destroy_process_group()
    if rank == 0:
        print(f"loss {loss.item():.4f}, {where}, {transport}, {tokens / seconds:.0f} tokens/s")


if __name__ == "__main__":
    main()
