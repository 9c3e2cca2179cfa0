"""Compiles the pretended driver, NCCL, kernels and torch device, once for each state of their sources."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from support.jobs import REPOSITORY

__all__ = ["build", "extension"]

_DRIVER = "libcuda.so.1"
#: The same driver, which nobody finds who looks for libcuda.so.1.
_HIDDEN_DRIVER = "libhidden_cuda.so"
_NCCL = "libnccl.so.2"
_KERNELS = "libfake_kernels.so"
_EXTENSION = "_fake_gpu"
#: The device of TensorFlow, where that is installed.
_TENSORFLOW_DEVICE = "libfake_tensorflow_device.so"
_TENSORFLOW_LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2")

_NATIVE = REPOSITORY / "native"
_SOURCES = _NATIVE / "tests" / "fake_gpu"
_CACHE = REPOSITORY / "build" / "fake_gpu"
_DRIVER_SOURCES = ("fake_cuda", "fake_device", "fake_launch", "fake_memory", "fake_stream", "stream")
#: The slowest first.
_EXTENSION_SOURCES = ("torch_kernels", "torch_device", "torch_guard", "torch_memory", "torch_driver")
#: Bits of results must be those of the engine; "unroll" is for CUDA's compiler.
_KERNEL_FLAGS = ("-ffp-contract=off", "-Wno-unknown-pragmas")
_FLAGS = ("-O1", "-std=c++20", "-fPIC", "-fvisibility=hidden", "-pthread", "-Wall", "-Wextra")


@functools.cache
def build() -> Path:
    """The folder with the libraries, which it makes when it is not there."""
    folder = _CACHE / _state()
    if folder.exists():
        return folder
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("w") as lock:
        # All ranks of a test ask at once: one builds and the others wait.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _build(folder)
    return folder


def _build(folder: Path) -> None:
    """Build elsewhere first: nobody sees half of a folder, even when this process is killed."""
    for left in _CACHE.glob("building-*"):
        shutil.rmtree(left, ignore_errors=True)
    working = Path(tempfile.mkdtemp(prefix="building-", dir=_CACHE))
    try:
        _build_in(working)
        working.replace(folder)
    finally:
        shutil.rmtree(working, ignore_errors=True)


@functools.cache
def extension() -> Any:
    """The compiled module of the torch device, which registers itself when it is loaded."""
    loader = importlib.machinery.ExtensionFileLoader(_EXTENSION, str(build() / f"{_EXTENSION}.so"))
    spec = importlib.util.spec_from_loader(_EXTENSION, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def _state() -> str:
    """Name of the state of everything that the libraries depend on."""
    sources = [path for path in sorted(_SOURCES.iterdir()) if path.suffix in (".cc", ".h")]
    digest = hashlib.sha256()
    others = (
        *("src/provider/nccl/abi.h", "src/provider/cuda/kernel_arguments.h", "src/reduce/convert.h"),
        *("kernels/reduce.cu", "kernels/element.cuh", "include/smddp/types.h"),
    )
    for path in [*sources, *(_NATIVE / name for name in others), Path(__file__)]:
        digest.update(path.read_bytes())
    tensorflow = _tensorflow()
    versions = [torch.__version__, sysconfig.get_config_var("SOABI"), _compiler()]
    if tensorflow:
        versions += [str(tensorflow), str((tensorflow / _TENSORFLOW_LIBRARIES[1]).stat().st_size)]
    digest.update(" ".join(versions).encode())
    return digest.hexdigest()[:16]


def _build_in(folder: Path) -> None:
    includes = _includes()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        extension = [pool.submit(_compile, folder, name, includes) for name in _EXTENSION_SOURCES]
        driver = [pool.submit(_compile, folder, name, []) for name in _DRIVER_SOURCES]
        native = [f"-I{_NATIVE / part}" for part in ("src", "include", "kernels")]
        nccl = [pool.submit(_compile, folder, "fake_nccl", native)]
        kernels = [pool.submit(_compile, folder, "fake_kernels", [*native, *_KERNEL_FLAGS])]
        objects = [[job.result() for job in jobs] for jobs in (driver, extension, nccl, kernels)]
    for driver_name in (_DRIVER, _HIDDEN_DRIVER):
        _link(folder / driver_name, objects[0], [f"-Wl,-soname,{driver_name}"])
    _link(folder / _NCCL, objects[2], [f"-Wl,-soname,{_NCCL}", "-ldl"])
    _link(folder / _KERNELS, objects[3], [])
    libraries = Path(torch.__file__).parent / "lib"
    linked = [str(libraries / f"lib{name}.so") for name in ("c10", "torch_cpu", "torch", "torch_python")]
    _link(folder / f"{_EXTENSION}.so", objects[1], [*linked, f"-Wl,-rpath,{libraries}", "-ldl"])
    _build_tensorflow_device(folder)
    for path in (path for group in objects for path in group):
        path.unlink()


def _build_tensorflow_device(folder: Path) -> None:
    tensorflow = _tensorflow()
    if tensorflow is None:
        return
    compiled = _compile(folder, "tensorflow_device", [f"-isystem{tensorflow / 'include'}"])
    libraries = [folder / _DRIVER, *(tensorflow / name for name in _TENSORFLOW_LIBRARIES)]
    _link(folder / _TENSORFLOW_DEVICE, [compiled], [*map(str, libraries), f"-Wl,-rpath,$ORIGIN:{tensorflow}"])
    compiled.unlink()


def _tensorflow() -> Path | None:
    """TensorFlow's folder. Importing it would take longer than all of this."""
    spec = importlib.util.find_spec("tensorflow")
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _includes() -> list[str]:
    include = Path(torch.__file__).parent / "include"
    folders = [include, include / "torch" / "csrc" / "api" / "include", Path(sysconfig.get_path("include"))]
    return [f"-isystem{folder}" for folder in folders] + [
        f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}",
        "-DTORCH_API_INCLUDE_EXTENSION_H",
        f"-DTORCH_EXTENSION_NAME={_EXTENSION}",
    ]


def _compile(folder: Path, name: str, options: list[str]) -> Path:
    result = folder / f"{name}.o"
    _run([*_FLAGS, *options, "-c", str(_SOURCES / f"{name}.cc"), "-o", str(result)])
    return result


def _link(result: Path, objects: list[Path], options: list[str]) -> None:
    _run(["-shared", "-pthread", *map(str, objects), *options, "-o", str(result)])


def _compiler() -> str:
    return os.environ.get("CXX", "g++")


def _run(arguments: list[str]) -> None:
    done = subprocess.run([_compiler(), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{_compiler()} {' '.join(arguments)}\n{done.stderr}")
