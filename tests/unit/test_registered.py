"""`empty_registered` as a kind of `numpy.empty` and `torch.empty`."""

from __future__ import annotations

import gc
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import smddp
import smddp.torch
from smddp.errors import SMDDPArgumentError


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        (0, "float32"),
        (3, "float64"),
        ((2, 3), "int8"),
        ((4, 0, 2), "bool"),
        ([5], np.float16),
        (np.array([2, 2]), "int32"),
        ((), np.uint16),
    ],
)
def test_array(shape: Any, dtype: Any) -> None:
    array, model = smddp.empty_registered(shape, dtype), np.empty(shape, dtype)
    assert (array.shape, array.dtype, array.strides) == (model.shape, model.dtype, model.strides)
    assert array.flags.c_contiguous
    assert array.flags.writeable
    array[...] = 1
    assert (array == 1).all()


def test_the_default_dtype_is_numpys() -> None:
    assert smddp.empty_registered(2).dtype == np.empty(2).dtype


@pytest.mark.parametrize(
    ("size", "dtype"), [((2, 3), torch.bfloat16), ((), torch.float64), ((0, 4), torch.int8), ((7,), torch.complex64)]
)
def test_tensor(size: tuple[int, ...], dtype: torch.dtype) -> None:
    for tensor in (smddp.torch.empty_registered(*size, dtype=dtype), smddp.torch.empty_registered(size, dtype=dtype)):
        model = torch.empty(size, dtype=dtype)
        assert (tensor.shape, tensor.dtype, tensor.stride()) == (model.shape, model.dtype, model.stride())
        assert (tensor.fill_(1) == 1).all()
    assert smddp.torch.empty_registered(3).dtype == torch.get_default_dtype()


@pytest.mark.parametrize("shape", [-1, (2, -3), 1.5, "3", "", (2, "x"), None])
def test_bad_shape(shape: Any) -> None:
    with pytest.raises(SMDDPArgumentError, match="expected whole numbers"):
        smddp.empty_registered(shape)
    with pytest.raises(SMDDPArgumentError, match="expected whole numbers"):
        smddp.torch.empty_registered(shape)


@pytest.mark.parametrize("dtype", ["U8", "O", ">f4", "longdouble", "nonsense"])
def test_bad_dtype(dtype: str) -> None:
    with pytest.raises(SMDDPArgumentError, match="dtype"):
        smddp.empty_registered(3, dtype)


@pytest.mark.parametrize("dtype", ["float32", 4, np.float32])
def test_bad_torch_dtype(dtype: Any) -> None:
    with pytest.raises(SMDDPArgumentError, match=r"expected a torch\.dtype"):
        smddp.torch.empty_registered(3, dtype=dtype)


def test_no_room() -> None:
    for shape in (1 << 50, (1 << 40, 1 << 40)):
        with pytest.raises(SMDDPArgumentError, match=r"no room for .* bytes of registered memory"):
            smddp.empty_registered(shape, "int8")
        with pytest.raises(SMDDPArgumentError, match=r"no room for .* bytes of registered memory"):
            smddp.torch.empty_registered(shape, dtype=torch.int8)


def shared_kib() -> int:
    """Shared memory that this process has in use, in KiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(r"^RssShmem:\s+(\d+) kB$", status, re.MULTILINE)[0])


def test_memory_is_given_back_with_the_last_view() -> None:
    gc.collect()
    before = shared_kib()
    array = smddp.empty_registered(8 << 20, "int8")
    array[:] = 1
    view = array[5:10]
    del array
    gc.collect()
    assert shared_kib() - before >= 8 << 10
    assert list(view) == [1] * 5
    del view
    gc.collect()
    assert shared_kib() - before < 1 << 10  # some kernels count roughly


def test_a_limited_address_space_has_none_and_says_so() -> None:
    script = "import smddp; smddp.empty_registered(10)"
    limit = 8 << 30

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, preexec_fn=limited, check=False
    )
    assert ended.returncode == 1
    assert "SMDDPArgumentError: no room for 80 bytes of registered memory" in ended.stderr
    assert "ulimit -v unlimited" in ended.stderr


def test_a_forked_child_sees_the_array_and_changes_nothing() -> None:
    array = smddp.empty_registered(1000, "int8")
    array[:] = 1
    child = os.fork()
    if child == 0:
        seen = array.sum()
        array[3] = 7
        changed = array.sum()
        del array
        smddp.empty_registered(10)
        os._exit(0 if (seen, changed) == (1000, 1006) else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert (array[3], array.sum()) == (1, 1000)
