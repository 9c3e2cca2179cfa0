"""Every collective of the older module."""

from __future__ import annotations

import time
import warnings

import torch
from integration.compat.cases.common import assert_same_bits, batch, raises, values
from torch import nn

import smdistributed.dataparallel.torch.distributed as smdp
from smdistributed.dataparallel.exceptions import SMDDPArgumentError, SMDDPError

COUNTS = (1, 7, 1000)


def ranks(rank: int, size: int) -> None:
    assert smdp.is_available()
    assert smdp.is_initialized()
    assert (smdp.get_rank(), smdp.get_rank(group=smdp.group.WORLD)) == (rank, rank)
    assert (smdp.get_world_size(), smdp.get_world_size(group=smdp.group.WORLD)) == (size, size)
    assert smdp.get_local_rank() == rank
    assert smdp.get_backend() == "smddp"


def all_reduce_every_op(rank: int, size: int) -> None:
    expected = {
        None: lambda stack: stack.sum(0),
        smdp.ReduceOp.SUM: lambda stack: stack.sum(0),
        smdp.ReduceOp.AVERAGE: lambda stack: stack.sum(0) / size,
        smdp.ReduceOp.MIN: lambda stack: stack.min(0).values,
        smdp.ReduceOp.MAX: lambda stack: stack.max(0).values,
        smdp.ReduceOp.PRODUCT: lambda stack: stack.prod(0),
        torch.distributed.ReduceOp.MAX: lambda stack: stack.max(0).values,
    }
    for op, reference in expected.items():
        for count in COUNTS:
            tensor = values(rank, count, torch.float64)
            assert smdp.all_reduce(tensor, op=op) is None
            stack = torch.stack([values(other, count, torch.float64) for other in range(size)])
            torch.testing.assert_close(tensor, reference(stack), rtol=1e-15, atol=0)


def all_reduce_every_dtype(rank: int, size: int) -> None:
    dtypes = (torch.float16, torch.bfloat16, torch.float32, torch.int8, torch.uint8, torch.int32, torch.int64)
    for dtype in dtypes:
        tensor = values(rank, 9, dtype)
        smdp.all_reduce(tensor)
        expected = sum(values(other, 9, torch.int64) for other in range(size))
        assert tensor.dtype is dtype
        assert torch.equal(tensor.to(torch.int64), expected)


def all_reduce_same_bits(rank: int, size: int) -> None:
    tensor = batch(rank, 10_007, dtype=torch.float32)
    smdp.all_reduce(tensor, op=smdp.ReduceOp.AVERAGE)
    assert_same_bits(tensor)


def scalars_and_empty(rank: int, size: int) -> None:
    scalar = torch.tensor(rank + 1)
    smdp.all_reduce(scalar)
    assert scalar.shape == ()
    assert scalar.item() == size * (size + 1) // 2
    loss = torch.tensor(rank + 0.5, dtype=torch.float64, requires_grad=True)
    smdp.all_reduce(loss, op=smdp.ReduceOp.AVERAGE)
    assert loss.item() == size / 2
    smdp.broadcast(scalar.fill_(rank), src=size - 1)
    assert scalar.item() == size - 1
    smdp.all_reduce(torch.empty(0))
    smdp.broadcast(torch.empty(0, 3))


def leaf_parameters(rank: int, size: int) -> None:
    layer = nn.Linear(4, 3)
    with torch.no_grad():
        layer.weight.fill_(rank)
    smdp.all_reduce(layer.weight)
    assert layer.weight.requires_grad
    assert layer.weight.unique().tolist() == [size * (size - 1) / 2]
    with torch.no_grad():
        layer.weight.fill_(rank)
    for parameter in layer.parameters():
        smdp.broadcast(parameter)
    assert layer.weight.unique().tolist() == [0]
    # Written through `gather`, too, and still a leaf that trains.
    parts = [nn.Parameter(torch.zeros(2)) for _ in range(size)]
    smdp.all_gather(parts, nn.Parameter(torch.full((2,), float(rank))))
    assert [part.tolist() for part in parts] == [[other, other] for other in range(size)]
    layer(torch.ones(1, 4)).sum().backward()


def non_contiguous(rank: int, size: int) -> None:
    whole = values(rank, 24).view(4, 6).clone()
    before = whole.clone()
    smdp.all_reduce(whole[:, ::2])
    expected = sum(values(other, 24).view(4, 6) for other in range(size))
    assert torch.equal(whole[:, ::2], expected[:, ::2])
    assert torch.equal(whole[:, 1::2], before[:, 1::2])
    transposed = values(rank, 24).view(4, 6).t()
    work = smdp.all_reduce(transposed, async_op=True)
    assert work is not None
    work.wait()
    work.wait()
    assert work.is_completed()
    assert torch.equal(transposed, expected.t())
    columns = torch.zeros(3, 2 * size)
    smdp.all_gather(list(columns.split(2, dim=1)), torch.full((3, 2), float(rank)))
    assert torch.equal(columns, torch.arange(size).repeat_interleave(2).expand(3, -1).float())
    strided = torch.zeros(6)[::2]
    smdp.broadcast(strided if rank else torch.tensor([1.0, 2.0, 3.0]))
    assert rank == 0 or strided.tolist() == [1, 2, 3]


def non_contiguous_asynchronous(rank: int, size: int) -> None:
    """Whatever says that the operation is over, the user's tensor holds the result by then."""
    expected = sum(values(other, 24).view(4, 6) for other in range(size)).t()

    def poll(work: smdp.Handle) -> None:
        deadline = time.monotonic() + 20
        while not work.is_completed():
            assert time.monotonic() < deadline

    def in_callback(work: smdp.Handle) -> None:
        seen: list[bool] = []
        work.get_future().then(lambda _: seen.append(torch.equal(tensor, expected))).wait()
        assert seen == [True]

    def future_value(work: smdp.Handle) -> None:
        (value,) = work.get_future().wait()
        assert (value.data_ptr(), value.stride()) == (tensor.data_ptr(), tensor.stride())

    def synchronize(work: smdp.Handle) -> None:
        work.synchronize()

    def result(work: smdp.Handle) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch would rather have the future used
            (value,) = work.result()
        assert value.data_ptr() == tensor.data_ptr()

    def wait_beside_future(work: smdp.Handle) -> None:
        future = work.get_future()
        work.wait()
        assert torch.equal(tensor, expected)
        assert future.wait() is work.get_future().value()

    def twice(work: smdp.Handle) -> None:
        poll(work)
        tensor.zero_()  # the user's own from now on: nothing may be copied again
        assert work.is_completed()
        assert work.wait()
        work.get_future().wait()
        assert not tensor.any()
        tensor.copy_(expected)

    for end in (poll, in_callback, future_value, synchronize, result, wait_beside_future, twice):
        tensor = values(rank, 24).view(4, 6).t()
        work = smdp.all_reduce(tensor, async_op=True)
        assert work is not None
        end(work)
        assert torch.equal(tensor, expected), end.__name__

    columns = torch.zeros(3, 2 * size)
    parts = list(columns.split(2, dim=1))
    work = smdp.all_gather(parts, torch.full((3, 2), float(rank)), async_op=True)
    assert work is not None
    received = work.get_future().wait()
    assert [part.data_ptr() for part in received] == [part.data_ptr() for part in parts]
    assert torch.equal(columns, torch.arange(size).repeat_interleave(2).expand(3, -1).float())


def broadcast_from_every_rank(rank: int, size: int) -> None:
    for src in range(size):
        tensor = values(rank, 11, torch.int64)
        assert smdp.broadcast(tensor, src=src) is None
        assert torch.equal(tensor, values(src, 11, torch.int64))
    default = values(rank, 5)
    smdp.broadcast(default)
    assert torch.equal(default, values(0, 5))


def all_gather(rank: int, size: int) -> None:
    for count in COUNTS:
        parts = [torch.zeros(count) for _ in range(size)]
        assert smdp.all_gather(parts, values(rank, count)) is None
        assert all(torch.equal(part, values(other, count)) for other, part in enumerate(parts))


def all_to_all_equal(rank: int, size: int) -> None:
    output = torch.zeros(2 * size, dtype=torch.int64)
    assert smdp.all_to_all_single(output, torch.arange(2 * size) + 100 * rank) is None
    expected = [100 * other + 2 * rank + item for other in range(size) for item in range(2)]
    assert output.tolist() == expected


def all_to_all_uneven(rank: int, size: int) -> None:
    # Rank r sends s + 1 rows to rank s, so it receives r + 1 rows from everybody.
    sent = [other + 1 for other in range(size)]
    received = [rank + 1] * size
    input_t = torch.full((sum(sent), 2), float(rank))
    output_t = torch.zeros(sum(received), 2)
    smdp.all_to_all_single(output_t=output_t, input_t=input_t, output_split_sizes=received, input_split_sizes=sent)
    expected = torch.arange(size).repeat_interleave(rank + 1).float()
    assert torch.equal(output_t, expected.unsqueeze(1).expand(-1, 2))


def all_to_all_asynchronous(rank: int, size: int) -> None:
    output = torch.zeros(3 * size)
    work = smdp.all_to_all_single(output, values(rank, 3).repeat(size), async_op=True)
    assert work is not None
    work.wait()
    assert work.is_completed()
    assert torch.equal(output, torch.cat([values(other, 3) for other in range(size)]))


def reduce_and_scatter(rank: int, size: int) -> None:
    for dst in range(size):
        tensor = values(rank, 6)
        smdp.reduce(tensor, dst)
        if rank == dst:
            assert torch.equal(tensor, sum(values(other, 6) for other in range(size)))
    output = torch.zeros(3)
    smdp.reduce_scatter(output, [values(rank, 3) * (part + 1) for part in range(size)])
    assert torch.equal(output, sum(values(other, 3) for other in range(size)) * (rank + 1))


def objects(rank: int, size: int) -> None:
    gathered: list[object] = [None] * size
    smdp.all_gather_object(gathered, {"rank": rank})
    assert gathered == [{"rank": other} for other in range(size)]
    sent = ["from", rank]
    smdp.broadcast_object_list(sent, src=size - 1)
    assert sent == ["from", size - 1]


def asynchronous(rank: int, size: int) -> None:
    tensors = [values(rank, count) for count in (5, 1000, 70_000)]
    works = [smdp.all_reduce(tensor, async_op=True) for tensor in tensors]
    extra = values(rank, 3)
    works.append(smdp.broadcast(extra, 0, async_op=True))
    works.append(smdp.barrier(async_op=True))
    parts = [torch.zeros(2) for _ in range(size)]
    works.append(smdp.all_gather(parts, values(rank, 2), async_op=True))
    for work in works:
        assert work is not None
        work.wait()
        assert work.is_completed()
    for tensor in tensors:
        expected = sum(values(other, tensor.numel()) for other in range(size))
        assert torch.equal(tensor, expected)
    assert torch.equal(extra, values(0, 3))
    assert all(torch.equal(part, values(other, 2)) for other, part in enumerate(parts))


def barrier(rank: int, size: int) -> None:
    assert smdp.barrier() is None
    assert smdp.barrier(smdp.group.WORLD) is None


def second_init_changes_nothing(rank: int, size: int) -> None:
    smdp.init_process_group()
    smdp.init_process_group(backend="nccl", init_method="env://", world_size=99, rank=3)
    if not smdp.is_initialized():
        smdp.init_process_group()
    ranks(rank, size)


def torch_distributed_beside(rank: int, size: int) -> None:
    tensor = values(rank, 4)
    torch.distributed.all_reduce(tensor)
    assert torch.equal(tensor, sum(values(other, 4) for other in range(size)))
    torch.distributed.barrier()
    assert torch.distributed.get_backend() == "smddp"
    smdp.all_reduce(tensor, group=torch.distributed.group.WORLD)
    # Layers that look the default group up by themselves, as SyncBatchNorm does when it is made.
    layer = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.BatchNorm1d(3)))
    assert isinstance(layer[0], nn.SyncBatchNorm)
    assert layer.eval()(torch.ones(2, 3)).shape == (2, 3)


def wrong_usage(rank: int, size: int) -> None:
    tensor = torch.ones(2)
    with raises(SMDDPArgumentError, "all_reduce", "group.WORLD", "'mine'"):
        smdp.all_reduce(tensor, group="mine")
    with raises(SMDDPArgumentError, "get_rank", "group.WORLD"):
        smdp.get_rank(group=7)
    with raises(ValueError, "op must be one of ReduceOp.SUM, AVERAGE", "'sum'"):
        smdp.all_reduce(tensor, op="sum")
    with raises(SMDDPArgumentError, "broadcast", f"from 0 to {size - 1}", f"got {size}"):
        smdp.broadcast(tensor, src=size)
    with raises(SMDDPArgumentError, "broadcast", "got -1"):
        smdp.broadcast(tensor, src=-1)
    with raises(SMDDPArgumentError, "all_gather", f"{size} ranks", f"got {size + 1} elements"):
        smdp.all_gather([torch.ones(2)] * (size + 1), tensor)
    with raises(SMDDPArgumentError, "all_gather", "list", "Tensor"):
        smdp.all_gather(tensor, tensor)
    with raises(SMDDPArgumentError, "all_reduce", "torch.Tensor", "got list"):
        smdp.all_reduce([1.0])
    with raises(SMDDPError, "all_reduce", "dense", "sparse"):
        smdp.all_reduce(tensor.to_sparse())
    assert tensor.tolist() == [1, 1]
