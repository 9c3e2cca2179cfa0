"""Which of PyTorch's own distributed tests are of CUDA tensors, and how many GPUs and ranks each wants.

Read from the source of the suite, as its gates say so only when a test runs, and importing it takes seconds.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SUBGROUP_RANKS", "GpuTest", "gpu_tests"]

#: What tests of sub-groups need: they make a group of ranks 1 and 2. Of all backends but mpi the suite wants 8.
SUBGROUP_RANKS = 3

#: Below the folder of torch.
_SUITE = Path("testing", "_internal", "distributed", "distributed_test.py")
_TESTS = "_DistTestBase"

_NEEDS_GPUS = re.compile(r"skip_if_(no_gpu|lt_x_gpu)|require_n_gpus_for_nccl_backend")
_NEEDS_COUNT = re.compile(
    r"(?:skip_if_lt_x_gpu|require_n_gpus_for_nccl_backend|require_world_size)\((?:BACKEND, )?(\d+)"
)
#: They watch other ranks, but do not say so.
_NEED_TWO = ("test_monitored_barrier_allreduce_hang", "test_monitored_barrier_allreduce_hang_wait_all_ranks")
#: A rank's number where CUDA's of a device belongs, or torch's NCCL backend.
_RANK_AS_DEVICE = re.compile(
    r"cuda\((self\.)?rank\b|set_device\((self\.)?(next_)?rank\b|device_ids=\[(self\.)?rank\]|gpus = \[rank\]"
    r"|cuda:\{|Stream\((self\.)?rank\b|synchronize\((device=)?(self\.)?rank\b|device\((self\.)?rank\b|\.to\((self\.)?rank\b"
    r"|device ?= ?(self\.)?rank\b|next_rank|backend='nccl'|Backend\.NCCL|ProcessGroupNCCL"
)
_HELPER = re.compile(r"self\.(_\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuTest:
    """A test of CUDA tensors.

    Attributes:
        gpus: how many it wants at least; 0: one for each rank, however many there are.
        group: wants a rank that its group has not.
        numbered: takes a rank's number for that of its GPU, or makes a group of torch's NCCL backend, so that ranks
            cannot share one.
    """

    name: str
    gpus: int
    group: bool
    numbered: bool

    def ranks(self, gpus: int) -> int:
        """With how many ranks it can run on so many GPUs; 0: it cannot."""
        wanted = max(self.gpus, SUBGROUP_RANKS if self.group else 2)
        if gpus >= wanted or not self.numbered:
            return wanted
        return gpus if self.gpus == 0 else 0


@functools.cache
def gpu_tests() -> list[GpuTest]:
    """All of them; none without torch."""
    torch = importlib.util.find_spec("torch")
    if torch is None or not torch.submodule_search_locations:
        return []
    source = (Path(torch.submodule_search_locations[0]) / _SUITE).read_text(encoding="utf-8")
    return list(_read(source))


def _read(source: str) -> Iterator[GpuTest]:
    classes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef) and node.name == _TESTS)
    methods = {method.name: method for found in classes for method in found.body if isinstance(method, ast.FunctionDef)}
    texts = {name: "\n".join(ast.unparse(line) for line in method.body) for name, method in methods.items()}
    for name in methods:
        used = _used(name, texts)
        gates = " ".join(ast.unparse(gate) for each in used for gate in methods[each].decorator_list)
        if not name.startswith("test") or not (_NEEDS_GPUS.search(gates) or name.endswith("_cuda")):
            continue
        counts = [int(count) for count in _NEEDS_COUNT.findall(gates)]
        text = "\n".join(texts[each] for each in used)
        yield GpuTest(
            name=name,
            gpus=max(counts, default=2 if name in _NEED_TWO else 0),
            group="skip_if_small_worldsize" in gates,
            numbered=_RANK_AS_DEVICE.search(text) is not None,
        )


def _used(name: str, texts: dict[str, str]) -> set[str]:
    """The test and all helpers that it calls, directly or not."""
    found, ahead = set(), [name]
    while ahead:
        each = ahead.pop()
        if each in texts and each not in found:
            found.add(each)
            ahead += _HELPER.findall(texts[each])
    return found
