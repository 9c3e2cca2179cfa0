"""`smddpcommon`: sums by address."""

from __future__ import annotations

import gc
import mmap

import torch
from integration.compat.cases.common import assert_same_bits, batch, raises, values

import smddpcommon as hm
import smdistributed.dataparallel as sdp
import smdistributed.dataparallel.torch.distributed as smdp
from smddp import addresses
from smdistributed.dataparallel.exceptions import SMDDPArgumentError

DTYPES = {hm.herringFloat16: torch.float16, hm.herringFloat32: torch.float32}


def start(source: torch.Tensor, target: torch.Tensor | None = None, index: int = 0, total: int = 1) -> object:
    """As the original's scripts call it, all arguments by position."""
    dtype = hm.herringFloat16 if source.dtype is torch.float16 else hm.herringFloat32
    out = source if target is None else target
    task_id = sdp._get_id_for_herring_task()
    return hm.allReduce(source.data_ptr(), out.data_ptr(), dtype, source.numel(), index, total, task_id).request


def sum_of(size: int, count: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return sum(values(other, count, dtype) for other in range(size))


def every_dtype_and_count_in_place(rank: int, size: int) -> None:
    for dtype in DTYPES.values():
        for count in (0, 1, 7, 1000, 70_001):
            tensor = values(rank, count, dtype)
            assert hm.wait(start(tensor)) is None
            assert torch.equal(tensor, sum_of(size, count, dtype))


def into_other_memory(rank: int, size: int) -> None:
    for count in (0, 1, 1000):
        source, target = values(rank, count), torch.full((count,), -1.0)
        request = start(source, target)
        hm.wait(request)
        assert torch.equal(source, values(rank, count))
        assert torch.equal(target, sum_of(size, count))
    # Side by side in one tensor, without a gap.
    whole = torch.cat([values(rank, 8), torch.zeros(8)])
    hm.wait(start(whole[:8], whole[8:]))
    assert torch.equal(whole, torch.cat([values(rank, 8), sum_of(size, 8)]))


def output_of_zero_means_in_place(rank: int, size: int) -> None:
    """As the original's benchmark has it in all iterations but the first."""
    tensor = values(rank, 9)
    task = hm.allReduce(tensor.data_ptr(), 0, hm.herringFloat32, tensor.numel(), 0, 1, 5)
    hm.wait(task.request)
    assert torch.equal(tensor, sum_of(size, 9))


def by_name(rank: int, size: int) -> None:
    tensor = values(rank, 3)
    address = tensor.data_ptr()
    task = hm.allReduce(in_ptr=address, out_ptr=address, dtype=hm.herringFloat32, numel=3, index=2, total=4, task_id=77)
    assert "task 77, 2 of 4, 3 elements of float32" in repr(task.request)
    hm.wait(request=task.request)
    assert torch.equal(tensor, sum_of(size, 3))


def many_at_once(rank: int, size: int) -> None:
    """Started together, waited for in another order, other collectives between them."""
    total = 64
    tensors = [values(rank + index, 500 + index) for index in range(total)]
    beside = values(rank, 11)
    requests = []
    for index, tensor in enumerate(tensors):
        requests.append(start(tensor, index=index, total=total))
        if index == total // 2:
            smdp.all_reduce(beside)
    for request in reversed(requests):
        hm.wait(request)
        hm.wait(request)
    assert torch.equal(beside, sum_of(size, 11))
    for index, tensor in enumerate(tensors):
        assert torch.equal(tensor, sum(values(other + index, 500 + index) for other in range(size)))


def same_bits_as_all_reduce(rank: int, size: int) -> None:
    mine = batch(rank, 10_007, dtype=torch.float32)
    theirs = mine.clone()
    hm.wait(start(mine))
    smdp.all_reduce(theirs)
    assert torch.equal(mine, theirs)
    assert_same_bits(mine)


def returns_before_the_others_come(rank: int, size: int) -> None:
    tensor = values(rank, 1000)
    store = torch.distributed.distributed_c10d._get_default_store()
    if rank == 0:
        request = start(tensor)
        store.set("rank 0 has gone on", "yes")
    else:
        store.wait(["rank 0 has gone on"])
        request = start(tensor)
    hm.wait(request)
    assert torch.equal(tensor, sum_of(size, 1000))


def a_request_given_up_still_finishes(rank: int, size: int) -> None:
    tensor = values(rank, 1000)
    start(tensor)
    gc.collect()
    smdp.barrier()  # comes after the sum
    assert torch.equal(tensor, sum_of(size, 1000))


def wrong_arguments(rank: int, size: int) -> None:
    tensor = torch.ones(8)
    address, nothing = tensor.data_ptr(), mmap.PAGESIZE  # no process has that page
    good = {"in_ptr": address, "out_ptr": address, "dtype": hm.herringFloat32, "numel": 8}
    good |= {"index": 0, "total": 1, "task_id": 1}
    wrong: list[tuple[dict[str, object], str]] = [
        ({"in_ptr": tensor}, "in_ptr must be a whole number"),
        ({"in_ptr": 1.5}, "in_ptr must be a whole number"),
        ({"in_ptr": -4}, "in_ptr must be a whole number of at least 0, got -4"),
        ({"in_ptr": 0}, "in_ptr is 0"),
        ({"in_ptr": address + 2}, "no multiple of 4 bytes"),
        ({"out_ptr": address + 1, "dtype": hm.herringFloat16}, "no multiple of 2 bytes"),
        ({"in_ptr": nothing}, f"the 32 bytes at in_ptr {nothing:#x} cannot be read"),
        ({"out_ptr": nothing}, f"the 32 bytes at out_ptr {nothing:#x} cannot be written"),
        ({"out_ptr": address + 4, "numel": 7}, "lies inside the 28 bytes"),
        ({"numel": 2**45}, "cannot be read"),
        ({"numel": 2**70}, "more than there are addresses"),
        ({"numel": -1}, "numel must be a whole number"),
        ({"numel": "8"}, "numel must be a whole number of at least 0, got '8'"),
        ({"dtype": torch.float32}, "herringFloat16 or herringFloat32, got torch.float32"),
        ({"dtype": 1}, "herringFloat16 or herringFloat32, got 1"),
        ({"index": 1}, "index must be less than total, got index 1 of 1"),
        ({"index": -1}, "index must be a whole number"),
        ({"total": 0}, "total must be a whole number of at least 1"),
        ({"task_id": None}, "task_id must be a whole number"),
    ]
    if addresses._advise() is None:  # Linux before 5.14: these would crash
        wrong = [row for row in wrong if "cannot be" not in row[1]]
    for change, fragment in wrong:
        with raises(SMDDPArgumentError, "allReduce: ", fragment):
            hm.allReduce(**(good | change))
    assert tensor.tolist() == [1] * 8


def wrong_requests_and_sizes(rank: int, size: int) -> None:
    for nothing in (None, 3, torch.ones(1)):
        with raises(SMDDPArgumentError, "wait: ", "request of an allReduce"):
            hm.wait(nothing)
    for size_in_bytes in (0, -1, 2.5, "25MB", None):
        with raises(SMDDPArgumentError, "setBucketSize: bytes must be a whole number of at least 1"):
            hm.setBucketSize(size_in_bytes)


def task_as_request(rank: int, size: int) -> None:
    """Who forgets `.request` is understood."""
    tensor = values(rank, 4)
    hm.wait(hm.allReduce(tensor.data_ptr(), tensor.data_ptr(), hm.herringFloat32, 4, 0, 1, 0))
    assert torch.equal(tensor, sum_of(size, 4))
