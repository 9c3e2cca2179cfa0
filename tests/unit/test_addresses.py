from __future__ import annotations

import contextlib
import ctypes
import mmap
from collections.abc import Iterator

import pytest

from smddp import addresses
from smddp.addresses import is_accessible

pytestmark = pytest.mark.timeout(30)

PAGE = mmap.PAGESIZE
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
LIBC.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
NOTHING = 0


@contextlib.contextmanager
def pages(count: int) -> Iterator[int]:
    address = LIBC.mmap(None, count * PAGE, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANON, -1, 0)
    assert address != ctypes.c_void_p(-1).value
    try:
        yield address
    finally:
        assert LIBC.munmap(address, count * PAGE) == 0


@pytest.fixture(autouse=True)
def kernel_says() -> None:
    if addresses._advise() is None:
        pytest.skip("this kernel does not tell (Linux before 5.14)")


@pytest.mark.parametrize("writable", [False, True])
@pytest.mark.parametrize("nbytes", [1, PAGE, 3 * PAGE])
def test_own_memory(nbytes: int, writable: bool) -> None:
    with pages(3) as address:
        assert is_accessible(address, nbytes, writable=writable)
        assert is_accessible(address + 3 * PAGE - nbytes, nbytes, writable=writable)
    array = ctypes.create_string_buffer(b"kept", 3 * PAGE)
    assert is_accessible(ctypes.addressof(array), len(array), writable=writable)
    assert array.value == b"kept"


def test_reading_what_may_not_be_written() -> None:
    with pages(2) as address:
        assert LIBC.mprotect(address + PAGE, PAGE, mmap.PROT_READ) == 0
        assert is_accessible(address, 2 * PAGE, writable=False)
        assert is_accessible(address, PAGE, writable=True)
        assert not is_accessible(address, PAGE + 1, writable=True)


@pytest.mark.parametrize("writable", [False, True])
def test_reserved_addresses(writable: bool) -> None:
    """As those of device memory are."""
    with pages(3) as address:
        assert LIBC.mprotect(address, PAGE, NOTHING) == 0
        assert not is_accessible(address, 2 * PAGE, writable=writable)
        assert not is_accessible(address + PAGE - 1, 2, writable=writable)
        assert is_accessible(address + PAGE, 2 * PAGE, writable=writable)


@pytest.mark.parametrize("writable", [False, True])
@pytest.mark.parametrize("address", [1, PAGE, 2**62, 2**64 - PAGE])
def test_nothing_there(address: int, writable: bool) -> None:
    assert not is_accessible(address, 4, writable=writable)


def test_count_beyond_the_memory() -> None:
    with pages(1) as address:
        assert not is_accessible(address, 2**46, writable=False)


def test_kernel_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_advise", lambda: None)
    assert is_accessible(PAGE, 4, writable=True)
