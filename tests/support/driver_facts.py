"""What a CUDA driver does where its documentation leaves it open: `python -m support.driver_facts` prints it as JSON.

A process of its own offers memory, as a process cannot open what is its own.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from ctypes import byref, c_uint32, c_uint64, c_void_p
from typing import Any

__all__ = ["facts"]

BYTES = 64 << 20
BUFFER_ID = 7
#: Seconds after which a call that others take microseconds for counts as blocked.
BLOCKED = 2.0


class Driver:
    """The driver's functions on the first GPU, current on every thread that calls one."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libcuda.so.1")
        self._context = c_void_p()
        self._library.cuInit(0)
        self("cuDevicePrimaryCtxRetain", byref(self._context), 0)

    def __call__(self, name: str, *arguments: Any) -> None:
        """Raises RuntimeError when it fails."""
        if error := self.error(name, *arguments):
            raise RuntimeError(f"{name}: error {error}")

    def error(self, name: str, *arguments: Any) -> int:
        self._library.cuCtxPushCurrent_v2(self._context)
        return int(getattr(self._library, name)(*arguments))


def id_of(driver: Driver, memory: c_uint64) -> int:
    found = c_uint64()
    attributes, values = (ctypes.c_int * 1)(BUFFER_ID), (c_void_p * 1)(ctypes.addressof(found))
    driver("cuPointerGetAttributes", 1, attributes, values, memory)
    return found.value


def offer() -> None:
    """A handle and an id for each line that comes in; what was offered before is freed."""
    driver = Driver()
    memory = c_uint64()
    for _ in sys.stdin:
        if memory.value:
            driver("cuMemFree_v2", memory)
        handle = (ctypes.c_char * 64)()
        driver("cuMemAlloc_v2", byref(memory), ctypes.c_size_t(BYTES))
        driver("cuIpcGetMemHandle", handle, memory)
        print(handle.raw.hex(), id_of(driver, memory), flush=True)


class Handle(ctypes.Structure):
    """Passed by value."""

    _fields_ = (("bytes", ctypes.c_char * 64),)


class Reader:
    """Opens what another process offers, while a stream waits for a word."""

    def __init__(self) -> None:
        self.driver = Driver()
        self.stream, self.event, word = c_void_p(), c_void_p(), c_void_p()
        self.driver("cuStreamCreateWithPriority", byref(self.stream), 1, 0)
        self.driver("cuEventCreate", byref(self.event), 2)
        self.driver("cuMemHostAlloc", byref(word), ctypes.c_size_t(4096), 3)
        assert word.value is not None
        self.word = word.value
        self.rounds = 0

    def write_long(self) -> bool:
        """Whether a stream can write 64 bits."""
        step = (c_uint64 * 6)(5, self.word + 8, 0x0123_4567_89AB_CDEF, 0, 0, 0)
        self.driver("cuStreamBatchMemOp_v2", self.stream, 1, step, 0)
        self.driver("cuStreamSynchronize", self.stream)
        return c_uint64.from_address(self.word + 8).value == 0x0123_4567_89AB_CDEF

    def open(self, handle: str) -> c_uint64:
        opened = c_uint64()
        self.driver("cuIpcOpenMemHandle_v2", byref(opened), Handle.from_buffer_copy(bytes.fromhex(handle)), 1)
        return opened

    def blocked_by(self, call: Callable[[], object]) -> dict[str, bool]:
        """Whether the call waits for a stream that waits, and lets nobody else through meanwhile."""
        self.rounds += 1
        self.driver("cuStreamWaitValue32_v2", self.stream, c_uint64(self.word), c_uint32(self.rounds), 0)
        self.driver("cuEventRecord", self.event, self.stream)
        first = threading.Thread(target=call)
        first.start()
        first.join(BLOCKED)
        waits = first.is_alive()
        other = threading.Thread(target=lambda: self.driver.error("cuEventQuery", self.event))
        other.start()
        other.join(BLOCKED)
        blocks = other.is_alive()
        c_uint32.from_address(self.word).value = self.rounds
        first.join()
        other.join()
        return {"waits for streams": waits, "blocks other threads": blocks}


def facts() -> dict[str, Any]:
    """By what they are about."""
    command = [sys.executable, "-m", "support.driver_facts", "offer"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdin is not None
        assert owner.stdout is not None

        def offered() -> tuple[str, int]:
            assert owner.stdin is not None
            assert owner.stdout is not None
            print(file=owner.stdin, flush=True)
            handle, number = owner.stdout.readline().split()
            return handle, int(number)

        reader = Reader()
        opened: list[c_uint64] = []
        handle, first_id = offered()
        told: dict[str, Any] = {"64-bit words": reader.write_long()}
        told["opening"] = reader.blocked_by(lambda: opened.append(reader.open(handle)))
        again = reader.open(handle)
        told["opened twice is the same"] = again.value == opened[0].value
        reader.driver("cuIpcCloseMemHandle", again)
        second, second_id = offered()  # the first is freed, and open
        told["ids differ"] = first_id != second_id
        opened.append(reader.open(second))
        errors: list[int] = []
        told["closing"] = reader.blocked_by(
            lambda: errors.append(reader.driver.error("cuIpcCloseMemHandle", opened[0]))
        )
        told["closing what was freed"] = errors[0]
        owner.stdin.close()
    return told


if __name__ == "__main__":
    if sys.argv[1:] == ["offer"]:
        offer()
    else:
        print(json.dumps(facts()))
