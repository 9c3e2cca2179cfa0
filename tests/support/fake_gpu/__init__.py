"""A pretended GPU for machines that have none: streams, events and device memory, as torch's device "fakegpu".

::

    gpu = fake_gpu.load()
    side = torch.Stream(device="fakegpu")
    gpu.hold(side)
    with gpu.module.stream(side):
        target.copy_(source)       # queued; the stream does nothing yet
    gpu.release(side)
    side.synchronize()

`libnccl.so.2` is an NCCL that moves data between processes of this machine (its variables: fake_nccl.cc).
`libcuda.so.1` is the driver, on host memory; the extension `_fake_gpu` is the torch device above it. Copies and fills
of dense tensors are queued on the current stream. Everything else the CPU computes at once, after it has waited for
the current streams. `libfake_tensorflow_device.so`, where TensorFlow is installed, makes the same GPU a device of that
(tensorflow_device.cc).

Variables, read when the device is first used:

* FAKE_GPU_COUNT: number of devices; default 1.
* FAKE_GPU_SHARED=1: processes share their devices, as the UUIDs show.
* FAKE_GPU_FREE=stream: freed tensors are poisoned in stream order, as with CUDA's caching allocator; default: at once.
* FAKE_CUDA_LIBRARY: another driver library than the one beside the extension. With `libhidden_cuda.so` there, the
  device works, but whoever looks for libcuda.so.1 finds no driver.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch.utils.backend_registration import generate_methods_for_privateuse1_backend, rename_privateuse1_backend

from support.fake_gpu import device_module
from support.fake_gpu.building import build, extension

__all__ = ["FakeGpu", "build", "load"]


@dataclass(frozen=True, slots=True)
class FakeGpu:
    """Handles of the pretended GPU that a test turns.

    Args:
        library_folder: holds `libcuda.so.1`; a process that finds it on LD_LIBRARY_PATH has the pretended driver.
        module: what torch calls `torch.fakegpu`.
    """

    library_folder: Path
    module: ModuleType
    _extension: Any

    def hold(self, stream: torch.Stream) -> None:
        """Let the stream do nothing more, after what it was given before, until `release`."""
        self._extension.hold(stream.device_index, stream.stream_id)

    def release(self, stream: torch.Stream) -> None:
        """End the oldest `hold` of the stream."""
        self._extension.release(stream.device_index, stream.stream_id)

    def begin_capture(self, stream: torch.Stream, mode: int = 0) -> None:
        """Record what the stream is given instead of doing it; modes: 0 global, 1 of the thread, 2 relaxed."""
        self._extension.begin_capture(stream.device_index, stream.stream_id, mode)

    def end_capture(self, stream: torch.Stream) -> None:
        """End the capture that began in this stream."""
        self._extension.end_capture(stream.device_index, stream.stream_id)

    def replay(self, stream: torch.Stream) -> None:
        """Give the streams again what the last capture of this stream recorded."""
        self._extension.replay(stream.device_index, stream.stream_id)

    def calls(self, name: str) -> int:
        """How often this process has called a function of the driver, such as "cuEventRecord"."""
        return int(self._extension.calls(name))

    def handle(self, stream: torch.Stream) -> int:
        """The driver's CUstream; 0 is the null stream."""
        return int(self._extension.handle(stream.device_index, stream.stream_id))


@functools.cache
def load() -> FakeGpu:
    """Make "fakegpu" a device of torch in this process; builds the libraries when needed."""
    native = extension()
    rename_privateuse1_backend("fakegpu")
    torch._register_device_module("fakegpu", device_module)  # type: ignore[no-untyped-call]
    generate_methods_for_privateuse1_backend()
    return FakeGpu(library_folder=build(), module=device_module, _extension=native)
