"""What torch calls `torch.fakegpu`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from support.fake_gpu.building import extension

__all__ = [
    "Event",
    "Stream",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "get_amp_supported_dtype",
    "get_rng_state",
    "is_available",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "set_device",
    "set_rng_state",
    "set_stream",
    "stream",
    "synchronize",
]

_Device = torch.device | str | int | None

#: Without a device they belong to the current one, as torch has no other accelerator here.
Event = torch.Event
Stream = torch.Stream


def _lazy_init() -> None:
    """The device is ready as soon as it is loaded."""


def _is_in_bad_fork() -> bool:
    return False


def is_available() -> bool:
    """Whether there is a device."""
    return device_count() > 0


def is_initialized() -> bool:
    """Always true once this module is known to torch."""
    return True


def device_count() -> int:
    """Number of devices."""
    return int(extension().device_count())


def current_device() -> int:
    """Index of the thread's current device."""
    return torch.accelerator.current_device_index()


def set_device(device: _Device) -> None:
    """Change the thread's current device."""
    torch.accelerator.set_device_index(_device(device).index)


@contextlib.contextmanager
def device(device: _Device) -> Iterator[None]:
    """Another current device meanwhile."""
    before = current_device()
    set_device(device)
    try:
        yield
    finally:
        set_device(before)


def synchronize(device: _Device = None) -> None:
    """Wait for all streams of a device."""
    torch.accelerator.synchronize(_device(device))


def current_stream(device: _Device = None) -> torch.Stream:
    """The thread's current stream of a device."""
    return torch.accelerator.current_stream(_device(device))


def default_stream(device: _Device = None) -> torch.Stream:
    """The null stream of a device."""
    found = _device(device)
    return torch.Stream(stream_id=0, device_index=found.index, device_type=current_stream().device_type)


def set_stream(stream: torch.Stream) -> None:
    """Change the thread's current stream of the stream's device."""
    torch.accelerator.set_stream(stream)


@contextlib.contextmanager
def stream(stream: torch.Stream | None) -> Iterator[None]:
    """Another current device and stream meanwhile; None changes nothing."""
    if stream is None:
        yield
        return
    with device(stream.device_index):
        before = current_stream()
        set_stream(stream)
        try:
            yield
        finally:
            set_stream(before)


def manual_seed(seed: int) -> None:
    """Nothing: random numbers come from the CPU's generator, which torch seeds itself."""


def manual_seed_all(seed: int) -> None:
    """Nothing, as `manual_seed`."""


def get_rng_state(device: _Device = None) -> torch.Tensor:
    """State of the CPU's generator, which makes the random numbers."""
    return torch.get_rng_state()


def set_rng_state(new_state: torch.Tensor, device: _Device = None) -> None:
    """Put back a state of `get_rng_state`."""
    torch.set_rng_state(new_state)


def get_amp_supported_dtype() -> list[torch.dtype]:
    """Types that autocast may choose."""
    return [torch.float16, torch.bfloat16]


def _device(device: _Device) -> torch.device:
    """The device with its index; the current one for None."""
    if device is None:
        return torch.device("fakegpu", current_device())
    if isinstance(device, int):
        return torch.device("fakegpu", device)
    found = torch.device(device)
    return found if found.index is not None else torch.device(found.type, current_device())
