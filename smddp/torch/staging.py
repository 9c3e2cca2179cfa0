"""Contiguous stand-ins for the tensors of one collective.

The backend moves contiguous memory. Users also pass slices, transposes, parameters that require grad: each of
those gets a detached, contiguous stand-in here, and results are copied back when the collective is complete.
A tensor that is contiguous already is passed as it is, without a copy.
"""

from __future__ import annotations

import threading
from typing import Any

import torch
import torch.distributed as dist

from smddp.errors import SMDDPArgumentError
from smddp.torch.errors import failure

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
            raise failure(SMDDPArgumentError, msg)
        if tensor.layout is not torch.strided:
            msg = f"{self._caller}: {name} must be a dense tensor, got layout {tensor.layout}"
            raise failure(SMDDPArgumentError, msg)
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

    Whoever asks first whether the collective is over makes that copy: `wait()`, `is_completed()` or the future. Names
    that are not here are those of torch's own handle.
    """

    def __init__(self, work: dist.Work, copies: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        self._work = work
        self._copies = copies
        # The future copies in a thread of the backend; meanwhile wait() may not return.
        self._lock = threading.Lock()
        self._copied = False
        self._future: torch.futures.Future[Any] | None = None

    def wait(self, *args: Any, **kwargs: Any) -> bool:
        """Wait as `torch.distributed.Work.wait` does, then fill the user's tensors. May be called again."""
        finished = self._work.wait(*args, **kwargs)
        self._copy_back()
        return finished

    def synchronize(self) -> None:
        """As `wait()`."""
        self.wait()

    def is_completed(self) -> bool:
        """Whether `wait()` would return at once. If so, the user's tensors are filled, unless it would raise."""
        if not self._work.is_completed():
            return False
        try:
            self._work.wait()
        except RuntimeError:
            return True  # failed: there is nothing to copy, and wait() says why
        self._copy_back()
        return True

    def result(self) -> list[torch.Tensor]:
        """The tensors of `torch.distributed.Work.result`, where they are the user's, filled."""
        self.wait()
        results: list[torch.Tensor] = self._in_users_tensors(self._work.result())
        return results

    def get_future(self) -> torch.futures.Future[Any]:
        """A future that completes when the user's tensors are filled; its value holds those. Always the same one."""
        with self._lock:
            future = self._future
            if future is not None:
                return future
            future = self._future = torch.futures.Future()
        # Outside the lock, because this runs `_finish` at once if the collective is over.
        self._work.get_future().add_done_callback(self._finish)
        return future

    def __getattr__(self, name: str) -> Any:
        return getattr(self._work, name)

    def _finish(self, done: torch.futures.Future[Any]) -> None:
        # Not `then()`: the future that it returns would lose the class of an exception.
        assert self._future is not None
        try:
            value = done.value()
            self._copy_back()
        except Exception as problem:
            self._future.set_exception(problem)
        else:
            self._future.set_result(self._in_users_tensors(value))

    def _copy_back(self) -> None:
        with self._lock:
            if not self._copied:
                _copy_back(self._copies)
            self._copied = True

    def _in_users_tensors(self, value: Any) -> Any:
        """`value`, a nested list of what the backend has written, with the user's tensors for their stand-ins."""
        if isinstance(value, list):
            return [self._in_users_tensors(item) for item in value]
        return next((tensor for tensor, stand_in in self._copies if stand_in is value), value)


def _copy_back(copies: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    for tensor, stand_in in copies:
        tensor.copy_(stand_in)
