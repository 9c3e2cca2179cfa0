"""What the scripts beside this one train, what plain PyTorch makes of it in one process, and what each rank prints."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import nn

ROWS, FEATURES = 8, 6
STEPS, RATE = 3, 0.1


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets. Each step takes all of them, half on either rank, so that no library's order matters."""
    generator = torch.Generator().manual_seed(11)
    shapes = (ROWS, FEATURES), (ROWS, 1)
    inputs, targets = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return inputs, targets


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 16), nn.Tanh(), nn.Linear(16, 1)).double()


def made(make: Callable[[], nn.Module] = network) -> nn.Module:
    """A model whose first weights differ between ranks: those of rank 0 count."""
    # Lightning tells ranks that it starts only the local one.
    torch.manual_seed(int(os.environ.get("RANK") or os.environ["LOCAL_RANK"]))
    return make()


def loss_of(model: nn.Module) -> torch.Tensor:
    inputs, targets = data()
    return nn.functional.mse_loss(model(inputs), targets)


def difference(
    trained: nn.Module,
    make: Callable[[], nn.Module] = network,
    loss: Callable[[nn.Module], torch.Tensor] = loss_of,
) -> float:
    """Largest difference of a weight from plain PyTorch's, which begins with rank 0's and takes the whole batch."""
    torch.manual_seed(0)
    plain = make()
    optimizer = torch.optim.SGD(plain.parameters(), lr=RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(plain).backward()
        optimizer.step()
    pairs = zip(trained.parameters(), plain.parameters(), strict=True)
    return torch.stack([(ours - theirs).abs().max() for ours, theirs in pairs]).max().item()


def bits(model: nn.Module) -> str:
    return hashlib.sha256(b"".join(weight.detach().numpy().tobytes() for weight in model.parameters())).hexdigest()


def report(**facts: object) -> None:
    """Print one line of JSON, in one piece: launchers mix what ranks print, and libraries do not end their lines."""
    facts |= {"rank": dist.get_rank(), "size": dist.get_world_size(), "dist_backend": dist.get_backend()}
    os.write(1, f"\n{json.dumps(facts)}\n".encode())
