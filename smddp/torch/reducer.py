"""Averages gradients over ranks while backward runs.

How it works: a hook on every trainable parameter says when its gradient is there. When all gradients of a
bucket are there, and all buckets before it are under way, its all-reduce starts. A callback at the end of
backward starts what is left, waits, and writes the averages back into `.grad`.

What makes that safe:

* Buckets start in one order on all ranks, and each pass starts each of them exactly once. So ranks whose
  backward reaches different parameters, or none at all, stay in step: what is missing counts as zero.
* One flag per parameter travels with each bucket. A parameter that no rank has used keeps its `.grad`.
* `.grad` is averaged whole. What earlier passes have averaged is equal on all ranks and stays as it is; what
  earlier passes have added without averaging (`no_sync`) is included.
* Nothing of a tensor is remembered but what `TrackedParameters` compares before each pass: modules may be
  cast, moved and frozen after wrapping.
* A pass that an exception cuts off is completed with zeros at the next forward or backward and marked as
  abandoned. If all ranks gave up, life goes on; if some did not, all of them get one error. Hooks see a pass from
  the moment when it reaches an output of the wrapped module, or a parameter where the module was called directly.
  An exception before that, as in the loss, leaves no trace: a script that catches one on some ranks only has to
  keep them in step itself.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist

from smddp.errors import SMDDPMismatchError, SMDDPStateError
from smddp.torch.buckets import Bucket
from smddp.torch.errors import failure
from smddp.torch.layout import Layout, TrackedParameters

__all__ = ["Reducer", "ReducerOptions", "ReducerStatistics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReducerOptions:
    """How gradients are averaged.

    Attributes:
        bucket_cap_bytes: gradients share messages of at most this size.
        passes_per_reduction: average in every n-th backward pass only.
        gradient_as_bucket_view: let `.grad` point into the buckets; saves their copies back.
        find_unused_parameters: ask the autograd engine which parameters a pass will reach, so that buckets
            need not wait for the others until backward ends. Results do not depend on it, but the engine does
            not foresee inner runs: not for layers under reentrant checkpointing.
        static_graph: every pass reaches the same parameters equally often. Allows parameters whose gradient
            arrives in several instalments (reentrant checkpointing of shared layers).
    """

    bucket_cap_bytes: int
    passes_per_reduction: int = 1
    gradient_as_bucket_view: bool = False
    find_unused_parameters: bool = False
    static_graph: bool = False


@dataclass(slots=True)
class ReducerStatistics:
    """Counts since construction.

    Attributes:
        reductions: backward passes whose buckets have been exchanged; equal on all ranks.
        launched: all-reduces started.
        overlapped: those of them that started before backward ended.
    """

    reductions: int = 0
    launched: int = 0
    overlapped: int = 0


class _EndOfBackward:
    """The callback the autograd engine holds while a backward pass runs, and the only thing that holds it.

    So when it has died without having been called, an exception has cut the pass off.
    """

    def __init__(self, reducer: Reducer) -> None:
        self._reducer = reducer

    def __call__(self) -> None:
        self._reducer.on_backward_end()


class _Pass:
    """One backward pass, from its first sign to its end."""

    def __init__(self, layout: Layout, callback: _EndOfBackward) -> None:
        self.layout = layout
        self.callback = weakref.ref(callback)
        self.graph_task = torch._C._current_graph_task_id()
        self.synchronizes: bool | None = None  # None until it is certain that this is no autograd.grad()
        self.arrivals = dict.fromkeys(layout.bucket_of, 0)
        self.expected = dict.fromkeys(layout.bucket_of, 1)
        self.missing = [len(bucket.plan.slots) for bucket in layout.buckets]
        self.launched = 0

    def expect(self, arrivals: dict[int, int]) -> None:
        """Say how often each parameter will arrive; 0 for those that the pass does not reach."""
        self.expected = arrivals
        for index, count in arrivals.items():
            self.missing[self.layout.bucket_of[index]] -= count == 0


class Reducer:
    """Averages the gradients of `module` over all ranks in each of its backward passes.

    `enabled` is False inside `no_sync()`. Every rank creates it at the same time, with an equal module
    (compared when `refresh()` is first called). Hooks hold it weakly: it lives as long as its owner.
    Backward may run in several threads (one per device); a lock keeps the state whole.

    Errors: SMDDPMismatchError where ranks differ or some have abandoned a pass, SMDDPStateError for a
    gradient that arrives too late, and whatever the backend raises. They come out of forward or backward.
    """

    def __init__(self, module: torch.nn.Module, options: ReducerOptions) -> None:
        self.enabled = True
        self.statistics = ReducerStatistics()
        self._options = options
        self._lock = threading.RLock()
        self._tracked = TrackedParameters(module, options.bucket_cap_bytes, weakref.WeakMethod(self.on_gradient))
        self._pass: _Pass | None = None
        self._forward_wants: bool | None = None
        self._used: set[int] = set()  # parameters reached since the last reduction
        self._passes_kept = 0  # backward passes since the last reduction

    # --- Forward ---------------------------------------------------------------------------------------

    def before_forward(self) -> None:
        """Take note of a forward pass that will have a backward pass."""
        with self._lock:
            self._finish_abandoned_pass()
            # As in torch, the forward pass decides whether its backward averages. A synchronizing one that
            # still waits for its backward is not overruled by a later one inside no_sync().
            self._forward_wants = self.enabled or self._forward_wants is True

    def watch_outputs(self, outputs: Iterable[torch.Tensor]) -> None:
        """Learn from these tensors when a backward pass begins.

        The end of backward is announced to the engine run that is outermost. The first gradient may come
        from an inner run (reentrant checkpointing), but the outputs' gradients do not.
        """
        this = weakref.ref(self)

        def begin(_gradient: torch.Tensor) -> None:
            reducer = this()
            if reducer is not None:
                reducer.on_backward_begin()

        for output in outputs:
            if output.grad_fn is not None:
                output.register_hook(begin)  # type: ignore[no-untyped-call]

    def refresh(self) -> Layout:
        """Follow changes of the module's parameters; see `TrackedParameters`."""
        return self._tracked.refresh()

    # --- Backward --------------------------------------------------------------------------------------

    def on_backward_begin(self) -> None:
        """The gradient of an output has been computed: an outermost engine run is under way."""
        with self._lock:
            if self._pass is not None and self._pass.graph_task != torch._C._current_graph_task_id():
                self._finish_abandoned_pass()
            if self._pass is not None:
                return
            current = self._begin_pass()
            # Now, not at the first gradient: if an exception comes before that, the other ranks wait all the same.
            if self._will_accumulate(current.layout):
                current.synchronizes = self._decide()

    def on_gradient(self, index: int) -> None:
        """`.grad` of parameter `index` is complete, as far as this engine run is concerned."""
        with self._lock:
            self._finish_abandoned_pass()
            current = self._pass or self._begin_pass()
            if current.synchronizes is None:
                current.synchronizes = self._decide()
            self._used.add(index)
            if current.synchronizes and index in current.arrivals:
                self._arrive(current, index)

    def on_backward_end(self) -> None:
        """The outermost engine run is over: complete the reduction, if one is due."""
        with self._lock:
            current, self._pass = self._pass, None
            if current is not None and self._count(current):
                self._complete(current)

    def _begin_pass(self) -> _Pass:
        layout = self.refresh()
        callback = _EndOfBackward(self)
        torch.autograd.Variable._execution_engine.queue_callback(callback)
        self._pass = _Pass(layout, callback)
        if layout.arrivals is not None:
            self._pass.expect(layout.arrivals)
        elif self._options.find_unused_parameters:
            reached = self._reached(layout)
            self._pass.expect({index: int(index in reached) for index in layout.bucket_of})
        return self._pass

    def _will_accumulate(self, layout: Layout) -> bool:
        """Whether this engine run is a backward pass of the module, and not an autograd.grad()."""
        # A run for all leaves is one even if it reaches no parameter: it may do so on other ranks, or in the inner
        # runs of checkpointed layers.
        is_for_all_leaves = torch.autograd._is_checkpoint_valid()  # type: ignore[no-untyped-call]
        return bool(layout.bucket_of) and (is_for_all_leaves or bool(self._reached(layout)))

    def _reached(self, layout: Layout) -> set[int]:
        """The parameters whose `.grad` this engine run, without its inner ones, will write."""
        try:
            return {index for index in layout.bucket_of if self._is_reached(index)}
        except RuntimeError:
            # The engine gives no answer for a leaf whose gradient autograd.grad() returns; such a run writes no .grad.
            return set()

    def _is_reached(self, index: int) -> bool:
        node = torch.autograd.graph.get_gradient_edge(self._tracked.parameters[index]).node
        return torch._C._will_engine_execute_node(node)

    def _decide(self) -> bool:
        wanted = self.enabled if self._forward_wants is None else self._forward_wants
        is_due = self._passes_kept + 1 >= self._options.passes_per_reduction
        return wanted and is_due and dist.get_world_size() > 1

    def _arrive(self, current: _Pass, index: int) -> None:
        bucket = current.layout.bucket_of[index]
        if bucket < current.launched:
            msg = (
                f"{self._tracked.name_of(index)} received a gradient after its bucket was sent to the other ranks; "
                "if layers are checkpointed with use_reentrant=True, pass use_reentrant=False there, or "
                "static_graph=True to DistributedDataParallel"
            )
            raise failure(SMDDPStateError, msg)
        current.arrivals[index] += 1
        if self._options.static_graph and current.layout.arrivals is None:
            return  # the first pass counts the instalments, the later ones expect that many
        if current.arrivals[index] != current.expected[index]:
            return
        current.missing[bucket] -= 1
        while current.launched < len(current.missing) and current.missing[current.launched] == 0:
            self._launch_next(current)
            self.statistics.overlapped += 1

    def _launch_next(self, current: _Pass, *, abandoned: bool = False) -> None:
        bucket = current.layout.buckets[current.launched]
        indices = [slot.spec.index for slot in bucket.plan.slots]
        gradients = [None if abandoned else self._tracked.parameters[index].grad for index in indices]
        with torch.no_grad():
            bucket.launch(gradients, [index in self._used for index in indices], abandoned=abandoned)
            if self._options.gradient_as_bucket_view and not abandoned:
                self._point_into(bucket, indices)
        current.launched += 1
        self.statistics.launched += 1

    def _point_into(self, bucket: Bucket, indices: list[int]) -> None:
        for index, view in zip(indices, bucket.views, strict=True):
            parameter = self._tracked.parameters[index]
            if parameter.grad is not None and parameter.grad.layout is torch.strided:
                parameter.grad = view

    # --- End of backward -------------------------------------------------------------------------------

    def _complete(self, current: _Pass) -> None:
        while current.launched < len(current.layout.buckets):
            self._launch_next(current)
        if self._options.static_graph and current.layout.arrivals is None:
            current.layout.arrivals = current.arrivals
        given_up = False
        with torch.no_grad():
            for bucket in current.layout.buckets:
                bucket.wait()
                used, given_up = bucket.read_flags()
                self._write_back(bucket, used)
        # The last bucket's flag counts: a rank that gives up does so before it starts that one.
        self._step()
        _require_all_completed(gave_up=False, somebody_gave_up=given_up)

    def _count(self, ended: _Pass) -> bool:
        """Take note of a pass, complete or cut off; whether it takes part in a reduction."""
        # None: the module was not differentiated for its parameters, as in autograd.grad().
        if ended.synchronizes is None:
            return False
        self._passes_kept += 1
        self._forward_wants = None if self._forward_wants else self._forward_wants
        return ended.synchronizes

    def _step(self) -> None:
        self._passes_kept = 0
        self._used.clear()
        self.statistics.reductions += 1

    def _write_back(self, bucket: Bucket, used: list[bool]) -> None:
        targets, averages = [], []
        for slot, view, is_used in zip(bucket.plan.slots, bucket.views, used, strict=True):
            parameter = self._tracked.parameters[slot.spec.index]
            gradient = parameter.grad
            if not is_used:
                continue
            if gradient is None and self._options.gradient_as_bucket_view:
                parameter.grad = view
            elif gradient is None or gradient.requires_grad:
                # create_graph=True: the graph may hold the local gradient, so it is replaced, not written to.
                parameter.grad = torch.empty_like(parameter).copy_(view)
            elif gradient.layout is not torch.strided:
                parameter.grad = _like_sparse(view, gradient)
            elif gradient.data_ptr() != view.data_ptr():
                targets.append(gradient)
                averages.append(view)
        if targets:
            torch._foreach_copy_(targets, averages)

    def _finish_abandoned_pass(self) -> None:
        """If an exception cut the last pass off, do this rank's share of what the others wait for."""
        current = self._pass
        if current is None or current.callback() is not None:
            return
        self._pass = None
        if not self._count(current):
            return
        while current.launched < len(current.layout.buckets):
            self._launch_next(current, abandoned=True)
        given_up = False
        for bucket in current.layout.buckets:
            bucket.wait()
            given_up = bucket.read_flags()[1]
        self._step()
        _require_all_completed(gave_up=True, somebody_gave_up=given_up)


def _like_sparse(average: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    # Sparse gradients travel as dense ones; optimizers made for sparse ones get a sparse one back.
    if gradient.layout is torch.sparse_coo:
        return average.to_sparse(gradient.sparse_dim())
    return average.clone()


def _require_all_completed(*, gave_up: bool, somebody_gave_up: bool) -> None:
    """Raise on all ranks alike unless either all or none gave the pass up.

    All ranks read the same flag, so all of them come to the exchange below, or none does.
    """
    if not somebody_gave_up:
        return
    verdicts = [torch.zeros(1, dtype=torch.int64) for _ in range(dist.get_world_size())]
    dist.all_gather(verdicts, torch.tensor([int(gave_up)]))
    culprits = [f"rank {rank}" for rank, verdict in enumerate(verdicts) if verdict.item()]
    if len(culprits) < len(verdicts):
        msg = (
            f"{', '.join(culprits)} abandoned a backward pass (an exception was raised in it and caught) "
            "that other ranks completed; the gradients of this pass are not averages"
        )
        raise failure(SMDDPMismatchError, msg)
