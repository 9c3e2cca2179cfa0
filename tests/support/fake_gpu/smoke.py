"""What the pretended GPU is trusted with, against the CPU: `python -m support.fake_gpu.smoke`, from `tests/`."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable

import torch

from support import fake_gpu
from support.fake_gpu import FakeGpu

#: So long a stream that is held is given the chance to go on by mistake.
PATIENCE_SECONDS = 0.05


def arithmetic(gpu: FakeGpu) -> None:
    types = (torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.int32, torch.uint8)
    for dtype in types:
        on_cpu = torch.arange(12).to(dtype).view(3, 4)
        on_gpu = on_cpu.to("fakegpu")
        assert on_gpu.device == torch.device("fakegpu", 0)
        for work in (lambda x: x + x, lambda x: (x * 2).sum(0), lambda x: x.t().contiguous(), lambda x: x[1:, ::2]):
            assert torch.equal(work(on_gpu).cpu(), work(on_cpu)), dtype
    assert torch.randn(5, device="fakegpu").add_(1).mul_(2).shape == (5,)
    assert (torch.ones(2, 3, device="fakegpu") @ torch.ones(3, 2, device="fakegpu")).tolist() == [[3, 3], [3, 3]]


def views(gpu: FakeGpu) -> None:
    flat = torch.empty(10, device="fakegpu").fill_(0)
    flat.narrow(0, 2, 4).fill_(1)
    flat.view(2, 5)[1].copy_(torch.arange(5.0))
    flat[::2].zero_()
    assert flat.tolist() == [0, 0, 0, 1, 0, 0, 0, 2, 0, 4]
    assert flat[3].item() == 1
    assert torch.equal(flat, flat.clone())
    parts = [torch.full((2, 2), 3.0, device="fakegpu"), torch.ones(3, device="fakegpu")]
    packed = torch._C._nn.flatten_dense_tensors(parts)
    unpacked = torch._C._nn.unflatten_dense_tensors(packed, parts)
    assert all(torch.equal(one, other) for one, other in zip(parts, unpacked, strict=True))
    assert torch.cat(parts[1:] * 2).numel() == 6
    other = torch.empty(0, device="fakegpu").set_(flat.untyped_storage(), 3, (2,), (4,))
    assert other.tolist() == [1, 2]
    assert flat.resize_(12)[:10].view(2, 5)[1].tolist() == [0, 0, 2, 0, 4]
    assert torch.view_as_real(torch.ones(2, dtype=torch.complex64, device="fakegpu")).tolist() == [[1, 0], [1, 0]]
    storage = torch.ones(4, device="fakegpu").untyped_storage()
    storage.resize_(8)
    assert storage.nbytes() == 8


def training(gpu: FakeGpu) -> None:
    def train(device: str) -> list[torch.Tensor]:
        torch.manual_seed(7)
        model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)).to(device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
        data, target = torch.randn(6, 4).to(device), torch.randn(6, 2).to(device)
        for _ in range(3):
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(data), target)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        return [parameter.detach().cpu() for parameter in model.parameters()]

    for on_cpu, on_gpu in zip(train("cpu"), train("fakegpu"), strict=True):
        torch.testing.assert_close(on_cpu, on_gpu)


def held_streams(gpu: FakeGpu) -> None:
    first, second = torch.Stream(device="fakegpu"), torch.Stream(device="fakegpu")
    source, middle, target = (torch.full((4,), float(value), device="fakegpu") for value in (1, 2, 3))
    gpu.module.synchronize()
    gpu.hold(first)
    with gpu.module.stream(first):
        middle.copy_(source)
        written = first.record_event()
    with gpu.module.stream(second):
        second.wait_event(written)
        target.copy_(middle)
    time.sleep(PATIENCE_SECONDS)
    assert not written.query()
    assert not first.query()
    assert not second.query()
    assert target.tolist() == [3, 3, 3, 3]  # of the default stream, for which nothing waits
    gpu.release(first)
    second.synchronize()
    assert written.query()
    assert target.tolist() == [1, 1, 1, 1]


def events(gpu: FakeGpu) -> None:
    event, stream = torch.Event(device="fakegpu", enable_timing=True), gpu.module.current_stream()
    assert event.query()
    event.record()
    event.synchronize()
    gpu.hold(stream)
    later = torch.Event(device="fakegpu", enable_timing=True)
    later.record(stream)
    assert not later.query()
    threading.Timer(PATIENCE_SECONDS, gpu.release, [stream]).start()
    later.synchronize()
    assert event.elapsed_time(later) >= PATIENCE_SECONDS * 500
    assert gpu.module.default_stream() == stream
    assert gpu.calls("cuEventRecord") >= 2


def copies(gpu: FakeGpu) -> None:
    stream = gpu.module.current_stream()
    gpu.hold(stream)
    source = torch.ones(1000)
    there = torch.empty(1000, device="fakegpu").copy_(source, non_blocking=True)
    source.zero_()  # was copied aside
    back = there.to("cpu", non_blocking=True)
    assert back.is_pinned()
    there.clone().clone()  # freed while the copies are queued
    gpu.release(stream)
    stream.synchronize()
    assert back.eq(1).all()
    pinned = torch.arange(3.0).pin_memory()
    assert pinned.is_pinned()
    assert pinned.to("fakegpu", non_blocking=True).tolist() == [0, 1, 2]
    assert torch.arange(3, device="fakegpu").to(torch.float16).cpu().tolist() == [0, 1, 2]


def graphs(gpu: FakeGpu) -> None:
    first, second = torch.Stream(device="fakegpu"), torch.Stream(device="fakegpu")
    source, middle, target = (torch.full((2,), float(value), device="fakegpu") for value in (1, 2, 3))
    gpu.module.synchronize()
    gpu.begin_capture(first)
    with gpu.module.stream(first):
        middle.copy_(source)
        second.wait_stream(first)
        with gpu.module.stream(second):
            assert second.is_capturing()
            target.copy_(middle)
        first.wait_stream(second)
        try:
            middle.sum()
        except RuntimeError as error:
            assert "capturing" in str(error)
        else:
            raise AssertionError("waited for a stream that is captured")
    gpu.end_capture(first)
    assert not second.is_capturing()
    assert target.tolist() == [3, 3]
    for value in (5.0, 7.0):
        source.fill_(value)
        gpu.module.synchronize()
        gpu.replay(first)
        first.synchronize()
        assert target.tolist() == [value, value]
    gpu.begin_capture(first)
    second.wait_stream(first)
    with gpu.module.stream(second):
        target.copy_(source)
    try:
        gpu.end_capture(first)
    except RuntimeError as error:
        assert "joined back" in str(error)
    else:
        raise AssertionError("a capture ended without one of its streams")


def driver(gpu: FakeGpu) -> None:
    """Calls that torch does not make, and those that a driver refuses."""
    library = ctypes.CDLL("libcuda.so.1")
    function_type = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    stream = torch.Stream(device="fakegpu")
    handle = ctypes.c_void_p(gpu.handle(stream))
    word = torch.zeros(1, dtype=torch.int32, device="fakegpu")
    gpu.module.synchronize()
    address, context, event = ctypes.c_uint64(word.data_ptr()), ctypes.c_void_p(), ctypes.c_void_p()
    answers: list[int] = []
    inside = function_type(lambda _: answers.append(library.cuStreamQuery(handle)))
    assert library.cuStreamWaitValue32_v2(handle, address, 3, 0) == 0
    assert library.cuLaunchHostFunc(handle, inside, None) == 0
    time.sleep(PATIENCE_SECONDS)
    assert not stream.query()
    assert library.cuStreamWriteValue32_v2(None, address, 4, 0) == 0
    stream.synchronize()
    assert answers == [800]
    assert library.cuEventCreate(ctypes.byref(event), 0) == 201
    assert library.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
    assert library.cuCtxPushCurrent_v2(context) == 0
    assert library.cuEventCreate(ctypes.byref(event), 0) == 0
    assert library.cuCtxPopCurrent_v2(ctypes.byref(context)) == 0
    assert library.cuCtxPopCurrent_v2(ctypes.byref(context)) == 201
    assert library.cuEventQuery(event) == 0
    assert library.cuEventDestroy_v2(event) == 0
    assert library.cuEventQuery(event) == 400
    here = (ctypes.c_char * 16)()
    host = ctypes.c_uint64(ctypes.addressof(here))
    assert library.cuMemsetD8Async(host, 0, ctypes.c_size_t(16), handle) == 1  # not of the device
    assert library.cuDeviceGetUuid_v2(here, 0) == 0
    assert any(here.raw[:12]) is (os.environ.get("FAKE_GPU_SHARED") != "1")


def freed_memory(gpu: FakeGpu) -> None:
    stream, source = torch.Stream(device="fakegpu"), torch.ones(4, dtype=torch.uint8, device="fakegpu")
    result = torch.empty(4, dtype=torch.uint8, device="fakegpu")
    gpu.module.synchronize()
    driver = ctypes.CDLL("libcuda.so.1")  # by name: the copy that torch's device uses
    gpu.hold(stream)
    where = [ctypes.c_uint64(tensor.data_ptr()) for tensor in (result, source)]
    assert driver.cuMemcpyDtoDAsync_v2(*where, ctypes.c_size_t(4), ctypes.c_void_p(gpu.handle(stream))) == 0
    source.record_stream(stream)
    del source
    gpu.module.default_stream().synchronize()
    gpu.release(stream)
    stream.synchronize()
    in_order = os.environ.get("FAKE_GPU_FREE") == "stream"
    assert result.tolist() == [1 if in_order else 0xAB] * 4


def accelerator(gpu: FakeGpu) -> None:
    assert torch.accelerator.current_accelerator() == torch.device("fakegpu")
    assert torch.accelerator.device_count() == gpu.module.device_count() == 1
    assert torch.ones(1, device="fakegpu").is_fakegpu
    assert torch.fakegpu is gpu.module
    with torch.autocast("fakegpu", dtype=torch.bfloat16):
        square = torch.ones(2, 2, device="fakegpu")
        assert (square @ square).tolist() == [[2, 2], [2, 2]]
    assert (gpu.library_folder / "libcuda.so.1").exists()


def losses(gpu: FakeGpu) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy_with_logits"):
            inputs = [torch.rand(3, 2, requires_grad=True), torch.rand(3, 2)]
            loss = getattr(torch.nn.functional, name)
            there = [tensor.detach().to("fakegpu").requires_grad_(tensor.requires_grad) for tensor in inputs]
            loss(*inputs).backward()
            loss(*there).backward()
            torch.testing.assert_close(there[0].grad, inputs[0].grad, check_device=False)
        logits = torch.randn(4, 3, device="fakegpu", requires_grad=True)
        torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0], device="fakegpu")).backward()
        images = torch.nn.Conv2d(1, 2, 3).to("fakegpu")(torch.randn(1, 1, 8, 8, device="fakegpu"))
        layers = (torch.nn.BatchNorm2d(2), torch.nn.Dropout(0.5), torch.nn.MaxPool2d(2))
        torch.nn.Sequential(*layers).to("fakegpu")(images).sum().backward()


def other_processes(gpu: FakeGpu) -> None:
    """A process may end while a stream is held, and may have several devices."""
    script = """
import torch
from support import fake_gpu
gpu = fake_gpu.load()
other = torch.ones(3, device="fakegpu:1")
assert other.to("fakegpu:0").device.index == 0 and gpu.module.current_device() == 0
assert gpu.module.current_stream(1).device_index == 1
gpu.hold(torch.Stream(device="fakegpu:1"))
gpu.hold(gpu.module.current_stream(0))
torch.ones(3, device="fakegpu")
print("end")
"""
    env = {**os.environ, "FAKE_GPU_COUNT": "2"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr


CHECKS: tuple[Callable[[FakeGpu], None], ...] = (
    arithmetic,
    views,
    training,
    held_streams,
    events,
    copies,
    graphs,
    driver,
    freed_memory,
    accelerator,
    losses,
    other_processes,
)


def main() -> None:
    """All checks, in order."""
    started = time.monotonic()
    gpu = fake_gpu.load()
    print(f"loaded after {time.monotonic() - started:.1f} s from {gpu.library_folder}")
    for check in CHECKS:
        check(gpu)
        print(f"{check.__name__}: ok", flush=True)


if __name__ == "__main__":
    main()
