"""Where CUDA's libraries are looked for, and the kernels that smddp was built with."""

from __future__ import annotations

import ctypes
import importlib
import re
import sys
from pathlib import Path

import pytest

from smddp import _core
from smddp.cuda import kernels_path, nccl_paths


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python looks for packages in, before all others."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "nvidia", raising=False)
    importlib.invalidate_caches()
    return tmp_path


def test_nccl_of_a_wheel_is_found(site: Path) -> None:
    library = site / "nvidia" / "nccl" / "lib" / "libnccl.so.2"
    library.parent.mkdir(parents=True)
    library.touch()
    assert nccl_paths()[0] == str(library)


def test_a_library_that_is_wanted_goes_first(site: Path) -> None:
    library = site / "nvidia" / "nccl" / "lib" / "libnccl.so.2"
    library.parent.mkdir(parents=True)
    library.touch()
    assert nccl_paths("/opt/libnccl.so.2")[:2] == ["/opt/libnccl.so.2", str(library)]


def test_other_wheels_of_nvidia_bring_none(site: Path) -> None:
    (site / "nvidia" / "cublas").mkdir(parents=True)
    assert str(site) not in "".join(nccl_paths())


def test_what_is_no_nccl_is_told(site: Path) -> None:
    wrong = site / "libnccl.so.2"
    wrong.write_text("no library")
    facts = _core.nccl_facts([str(wrong)])
    if not facts.problem:
        pytest.skip(f"NCCL is there: {facts.path}")
    assert f"{wrong}: file too short" in facts.problem
    assert "nvidia-nccl-cu12 or -cu13" in facts.problem


def test_devices_or_a_reason() -> None:
    facts = _core.cuda_facts()
    assert bool(facts.devices) == (facts.problem == "")


def test_kernels_load_without_a_driver() -> None:
    """They are compiled for several GPUs, and say what devices there are, if any."""
    if not kernels_path():
        pytest.skip("smddp was built without kernels for GPUs: there was no nvcc")
    from smddp import _cuda

    assert re.fullmatch(r"sm_\d+( sm_\d+)*", _cuda.architectures())
    assert _cuda.image_bytes() > 100_000
    assert _cuda.devices() == _core.cuda_facts().devices
    assert hasattr(ctypes.CDLL(kernels_path()), "smddp_kernels")


def test_kernels_that_are_wanted_go_first() -> None:
    assert kernels_path("/opt/kernels.so") == "/opt/kernels.so"
