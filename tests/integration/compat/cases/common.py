"""What the cases share: values that differ per rank and element, and what gradients ought to be."""

from __future__ import annotations

import copy
import hashlib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

import smdistributed.dataparallel.torch.distributed as smdp
from smdistributed.dataparallel.exceptions import SMDDPError
from smdistributed.dataparallel.torch.parallel import DistributedDataParallel

Step = Callable[[nn.Module, int], None]
"""One rank's forward and backward passes through a module; the rank decides the data."""


def values(rank: int, count: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Small whole numbers, different for each rank and element: exact in every dtype used here."""
    return (torch.arange(count) % 5 + 1 + rank).to(dtype)


def batch(rank: int, *shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Random numbers that any rank can compute for any other."""
    generator = torch.Generator().manual_seed(1000 + rank)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def perceptron(dtype: torch.dtype = torch.float64) -> nn.Sequential:
    torch.manual_seed(7)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3)).to(dtype)


def digest(*tensors: torch.Tensor) -> str:
    state = hashlib.sha256()
    for tensor in tensors:
        state.update(tensor.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return state.hexdigest()


def assert_same_bits(*tensors: torch.Tensor) -> None:
    """On all ranks."""
    digests: list[str] = [""] * smdp.get_world_size()
    smdp.all_gather_object(digests, digest(*tensors))
    assert len(set(digests)) == 1, digests


def expected_gradients(module: nn.Module, step: Step, size: int) -> list[torch.Tensor | None]:
    """Per parameter, the mean over ranks of what a lone process would get; None if no rank reaches it.

    Gradients that are there before the step are part of it.
    """
    per_rank = []
    for rank in range(size):
        lone = copy.deepcopy(module)
        for ours, theirs in zip(lone.parameters(), module.parameters(), strict=True):
            ours.grad = None if theirs.grad is None else theirs.grad.clone()
        step(lone, rank)
        per_rank.append([parameter.grad for parameter in lone.parameters()])
    return [_mean(gradients) for gradients in zip(*per_rank, strict=True)]


def _mean(gradients: tuple[torch.Tensor | None, ...]) -> torch.Tensor | None:
    reached = [gradient.to_dense() for gradient in gradients if gradient is not None]
    return sum(reached[1:], reached[0]) / len(gradients) if reached else None


def assert_gradients(
    module: nn.Module, expected: list[torch.Tensor | None], *, rtol: float = 1e-11, atol: float = 1e-13
) -> None:
    """Of a module or a wrapped one; also, that all ranks have the same bits."""
    for (name, parameter), gradient in zip(module.named_parameters(), expected, strict=True):
        if gradient is None:
            assert parameter.grad is None, name
            continue
        assert parameter.grad is not None, name
        found = parameter.grad.to_dense()
        torch.testing.assert_close(found, gradient, rtol=rtol, atol=atol, msg=lambda text, name=name: f"{name}: {text}")
        assert_same_bits(found)


def check_step(module: nn.Module, step: Step, rank: int, size: int, **options: object) -> DistributedDataParallel:
    """Wrap, run one step, compare gradients with the mean of lone processes."""
    wrapped = DistributedDataParallel(module, **options)
    check_again(wrapped, step, rank, size)
    return wrapped


def check_again(wrapped: DistributedDataParallel, step: Step, rank: int, size: int) -> None:
    expected = expected_gradients(wrapped.module, step, size)
    step(wrapped, rank)
    assert_gradients(wrapped.module, expected)


@contextmanager
def raises(error: type[Exception], *fragments: str) -> Iterator[None]:
    """As pytest.raises, for processes without pytest: the message holds all fragments."""
    found: Exception | None = None
    try:
        yield
    except error as caught:
        found = caught
    assert found is not None, f"{error.__name__} was not raised"
    text = str(found)
    missing = [fragment for fragment in fragments if fragment not in text]
    assert not missing, f"{missing} not in: {text}"
    if isinstance(found, SMDDPError):
        assert isinstance(found, torch.distributed.DistBackendError), repr(found)
        assert text.startswith(f"rank {smdp.get_rank()} ({socket.gethostname()}): "), text
