"""What ``smddp bench --device cuda`` needs: options that go together, and GPUs that torch and smddp can use."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from smddp import _core
from smddp.errors import SMDDPArgumentError, SMDDPSystemError

if TYPE_CHECKING:
    from smddp.tools.bench.options import Options

__all__ = ["check_gpu_options", "count_gpus", "why_not_nccl"]


def check_gpu_options(options: Options) -> None:
    """Refuse what does not go with ``--device cuda``, or goes with nothing else.

    Raises:
        SMDDPArgumentError: the message says which option, and why.
    """
    msg = ""
    if options.device == "cpu":
        if "nccl" in options.compare:
            msg = "--compare nccl: NCCL serves CUDA tensors only; add --device cuda"
    elif others := [word for word in options.compare if word != "nccl"]:
        msg = f"--compare {others[0]}: with --device cuda smddp is compared with nccl only"
    elif options.registered:
        msg = "-R 1: registered memory is host memory; leave it out with --device cuda"
    elif options.compare and options.plot is not None:
        msg = "--plot draws smddp and the device's limit; leave out --compare, or --plot"
    if msg:
        raise SMDDPArgumentError(msg)


def count_gpus() -> int:
    """How many GPUs of this host torch and backend smddp can use, at least one.

    Raises:
        SMDDPSystemError: there are none; the message says why and what to do.
    """
    try:
        import torch
    except ImportError:
        msg = (
            "--device cuda needs PyTorch with CUDA, and there is no PyTorch here: install it, "
            "then build smddp again in this environment"
        )
        raise SMDDPSystemError(msg) from None
    if torch.version.cuda is None:
        msg = (
            f"--device cuda: torch {torch.__version__} is a build without CUDA; install one with it, "
            "then build smddp again in this environment"
        )
        raise SMDDPSystemError(msg)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reason is in our own line
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        reason = _core.cuda_facts().problem or f"torch {torch.__version__} cannot use it"
        msg = f"--device cuda: no GPU: {reason}; run it on a host with one, where nvidia-smi lists it"
        raise SMDDPSystemError(msg)
    _check_backend()
    return count


def _check_backend() -> None:
    try:
        import smddp.torch  # noqa: F401 (registers the backend)
    except ImportError as problem:
        msg = f"--device cuda: {problem}"
        raise SMDDPSystemError(msg) from problem


def why_not_nccl(ranks_on_gpus: Sequence[int], *, available: bool) -> str:
    """Why torch's NCCL backend cannot serve ranks that are spread over GPUs like this; empty when it can."""
    if not available:
        return "this torch is built without NCCL"
    if max(ranks_on_gpus) > 1:
        return f"NCCL needs a GPU for each rank, and {max(ranks_on_gpus)} ranks share one"
    return ""
