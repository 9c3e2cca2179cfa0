"""Whether an address is this process's memory: asked of the kernel, before anything is read or written there."""

from __future__ import annotations

import ctypes
import functools
import mmap
from collections.abc import Callable

__all__ = ["is_accessible"]

# Values of <linux/mman.h>: make pages present as a read, or a write, of theirs would. Since Linux 5.14.
_MADV_POPULATE_READ = 22
_MADV_POPULATE_WRITE = 23

_Advise = Callable[[int, int, int], int]


def is_accessible(address: int, nbytes: int, *, writable: bool) -> bool:
    """Whether the first and the last of `nbytes` bytes can be read, and written if `writable`.

    A device pointer, a tensor that is gone, a count that is too large: they show at one of the ends. True where the
    kernel is too old to say.
    """
    advise = _advise()
    if advise is None:
        return True
    advice = _MADV_POPULATE_WRITE if writable else _MADV_POPULATE_READ
    ends = {each & -mmap.PAGESIZE for each in (address, address + nbytes - 1)}
    return all(advise(page, mmap.PAGESIZE, advice) == 0 for page in ends)


@functools.cache
def _advise() -> _Advise | None:
    """The system call, if this kernel knows the advice: then it takes it for a page that is certainly there."""
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    with mmap.mmap(-1, mmap.PAGESIZE) as page:
        inside = ctypes.c_char.from_buffer(page)
        knows = advise(ctypes.addressof(inside), mmap.PAGESIZE, _MADV_POPULATE_WRITE) == 0
        del inside  # a page that is looked at cannot be unmapped
    return advise if knows else None
