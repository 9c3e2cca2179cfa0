"""The name by which PyTorch's tests know our backend."""

from __future__ import annotations

__all__ = ["ALIASES", "GpuName", "WideName"]

#: Backends whose tests of CPU tensors we want: those of gloo, and all_to_all, which only mpi has.
ALIASES = ("gloo", "mpi")


class WideName(str):
    """A backend's name that equals other backends' names too.

    The suite names the backends of most tests: `@skip_if(BACKEND != "gloo", ...)`, `BACKEND not in {"gloo"}`. With
    this as BACKEND, tests meant for any of `ALIASES` run, while `init_process_group` still gets our own name.
    """

    __slots__ = ()
    aliases: tuple[str, ...] = ALIASES

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) is True or other in self.aliases

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        # A set looks at the hash first, and tests of gloo are gated by sets, too. Sets that hold mpi but not gloo list
        # what mpi lacks; we do not count as mpi there.
        return hash(self.aliases[0])


class GpuName(WideName):
    """The name with which tests of CUDA tensors run: most of them are for nccl alone, and some for gloo."""

    __slots__ = ()
    aliases = ("nccl", "gloo")
