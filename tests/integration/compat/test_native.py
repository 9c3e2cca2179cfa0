"""Starting and failing with `smddpcommon`; its sums are among the cases of `test_worlds`."""

from __future__ import annotations

import socket

import pytest
from integration.compat.jobs import SECONDS, run_alone, run_ranks

pytestmark = pytest.mark.timeout(SECONDS + 30)

HOST = socket.gethostname()
NUMPY_HEADER = """
import sys
import numpy as np
import smddp
import smddpcommon as hm
from smdistributed.dataparallel.exceptions import *
"""


def test_sum_before_joining_says_what_to_do() -> None:
    code = """
        array = np.ones(4, np.float32)
        try:
            hm.allReduce(array.ctypes.data, array.ctypes.data, hm.herringFloat32, 4, 0, 1, 0)
        except SMDDPStateError as error:
            print(error)
    """
    printed = run_alone(code, header=NUMPY_HEADER, RANK="1", WORLD_SIZE="2")
    assert printed.startswith(f"rank 1 ({HOST}): allReduce: the ranks have not been joined; call init_process_group()")
    through_torch = "import torch, numpy as np, smddp.torch\nimport smddpcommon as hm\n"
    code = """
        from torch.distributed import DistBackendError
        array = np.ones(4, np.float32)
        try:
            hm.allReduce(array.ctypes.data, array.ctypes.data, hm.herringFloat32, 4, 0, 1, 0)
        except DistBackendError as error:
            print(error)
    """
    assert run_alone(code, header=through_torch, RANK="1", WORLD_SIZE="2") == printed


def test_errors_without_torch_say_rank_and_host() -> None:
    code = """
        for call in (lambda: hm.setBucketSize(0), lambda: hm.wait(None)):
            try:
                call()
            except ValueError as error:
                print(error)
    """
    assert run_alone(code, header=NUMPY_HEADER, RANK="1", WORLD_SIZE="2").splitlines() == [
        f"rank 1 ({HOST}): setBucketSize: bytes must be a whole number of at least 1, got 0",
        f"rank 1 ({HOST}): wait: expected the request of an allReduce, got None",
    ]
    assert run_alone(code, header=NUMPY_HEADER, RANK="one", WORLD_SIZE="2").startswith(f"rank 0 ({HOST}): ")


def test_sums_of_numpy_arrays_need_no_framework() -> None:
    code = """
        hm.setBucketSize(25 * 1024 * 1024)
        comm = smddp.init(timeout=60)
        for dtype, kind in ((np.float16, hm.herringFloat16), (np.float32, hm.herringFloat32)):
            for count in (0, 1, 1000):
                array = (np.arange(count) % 7 + comm.rank).astype(dtype)
                result = np.zeros_like(array)
                hm.wait(hm.allReduce(array.ctypes.data, result.ctypes.data, kind, count, 0, 1, 0).request)
                assert np.array_equal(result, 2 * (np.arange(count) % 7) + 1), result
                assert np.array_equal(array, np.arange(count) % 7 + comm.rank)
                hm.wait(hm.allReduce(array.ctypes.data, 0, kind, count, 0, 1, 1).request)
                assert np.array_equal(array, result)
        assert "torch" not in sys.modules
        try:
            hm.allReduce(0, 0, hm.herringFloat32, 4, 0, 1, 0)
        except SMDDPArgumentError as error:
            print(error)
        smddp.shutdown()
    """
    for number, rank in enumerate(run_ranks(code, 2, header=NUMPY_HEADER)):
        assert (rank.returncode, rank.stderr) == (0, ""), rank
        assert rank.stdout == f"rank {number} ({HOST}): allReduce: in_ptr is 0, the address of nothing\n"


def test_wait_tells_both_sides_of_a_mismatch() -> None:
    code = """
        import smddpcommon as hm
        warnings.simplefilter("ignore")
        smdp.init_process_group()
        tensor = torch.ones(4 + smdp.get_rank())
        address = tensor.data_ptr()
        request = hm.allReduce(address, address, hm.herringFloat32, tensor.numel(), 0, 1, 0).request
        for _ in range(2):
            try:
                hm.wait(request)
            except SMDDPMismatchError as error:
                assert isinstance(error, DistBackendError)
                print(error)
        assert tensor.unique().tolist() == [1]
    """
    for rank in run_ranks(code, 2):
        first, second = rank.stdout.splitlines()
        assert first == second
        assert "all_reduce" in first, rank
        assert "rank 0" in first, rank
        assert "rank 1" in first, rank


def test_rank_that_dies_is_named() -> None:
    code = """
        import smddpcommon as hm
        warnings.simplefilter("ignore")
        smdp.init_process_group()
        smdp.barrier()
        if smdp.get_rank() == 1:
            os._exit(7)
        tensor = torch.ones(1000)
        hm.wait(hm.allReduce(tensor.data_ptr(), tensor.data_ptr(), hm.herringFloat32, 1000, 0, 1, 0).request)
    """
    survivor, dead = run_ranks(code, 2)
    assert (survivor.returncode, dead.returncode) == (1, 7)
    last = survivor.stderr.strip().splitlines()[-1]
    assert last.startswith("SMDDPPeerLostError: rank 0"), survivor
    assert "rank 1" in last, survivor
