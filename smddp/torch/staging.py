"""Contiguous stand-ins for the tensors of one collective.

The backend moves contiguous memory. Users also pass slices, transposes, parameters that require grad: each of
those gets a detached, contiguous stand-in here, and results are copied back when the collective is complete.
A tensor that is contiguous already is passed as it is, without a copy.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist

from smddp.errors import SMDDPArgumentError

__all__ = ["StagedWork", "Staging"]


class Staging:
    """Collects the tensors of one call to `caller`, then finishes the call.

    Raises SMDDPArgumentError, naming the argument, for anything that is not a tensor.
    """

    __slots__ = ("_caller", "_copies")

    def __init__(self, caller: str) -> None:
        self._caller = caller
        self._copies: list[tuple[torch.Tensor, torch.Tensor]] = []

    def source(self, name: str, tensor: object) -> torch.Tensor:
        """The tensor to read from: `tensor` itself or a contiguous copy."""
        if not isinstance(tensor, torch.Tensor):
            msg = f"{self._caller}: {name} must be a torch.Tensor, got {type(tensor).__name__}"
            raise SMDDPArgumentError(msg)
        if tensor.layout is not torch.strided:
            msg = f"{self._caller}: {name} must be a dense tensor, got layout {tensor.layout}"
            raise SMDDPArgumentError(msg)
        # Without detach, writing to a leaf that requires grad would be an autograd error.
        return tensor.detach().contiguous()

    def target(self, name: str, tensor: object) -> torch.Tensor:
        """The tensor to write to (it holds the values of `tensor`, for collectives that also read it)."""
        stand_in = self.source(name, tensor)
        assert isinstance(tensor, torch.Tensor)  # source() has checked
        if not tensor.is_contiguous():
            self._copies.append((tensor.detach(), stand_in))
        return stand_in

    def finish(self, work: dist.Work | None) -> dist.Work | StagedWork | None:
        """Turn torch.distributed's answer into what the caller gets: a handle, or None if synchronous."""
        if work is None:
            _copy_back(self._copies)
            return None
        return StagedWork(work, self._copies) if self._copies else work


class StagedWork:
    """Handle of an asynchronous collective whose results still have to be copied to the user's tensors.

    `wait()` makes that copy; every other name is that of torch's own handle.
    """

    def __init__(self, work: dist.Work, copies: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        self._work = work
        self._copies = copies

    def wait(self, *args: Any, **kwargs: Any) -> bool:
        """Wait as `torch.distributed.Work.wait` does, then fill the user's tensors. May be called again."""
        finished = self._work.wait(*args, **kwargs)
        copies, self._copies = self._copies, []
        _copy_back(copies)
        return finished

    def is_completed(self) -> bool:
        """Whether `wait()` would return at once."""
        return self._work.is_completed()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._work, name)


def _copy_back(copies: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    for tensor, stand_in in copies:
        tensor.copy_(stand_in)
