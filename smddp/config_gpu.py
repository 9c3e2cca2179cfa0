"""The settings for CUDA tensors: a part of the table in smddp.config."""

from __future__ import annotations

from smddp.config_values import Setting, choice_of, pages_up_to, parse_text, whole_up_to

__all__ = ["GPU_SETTINGS"]

GPU_SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="SMDDP_GPU_COLLECTIVES",
        field="gpu_collectives",
        default="auto",
        parse=choice_of("auto", "nccl", "ipc", "host", "hierarchical"),
        range="auto, nccl, ipc, host, hierarchical",
        help="By what collectives on CUDA tensors go; the same on all ranks. auto: NCCL, where all ranks of a group "
        "have the same version of it and a GPU of their own; else smddp's own kernels, where all ranks are on one host "
        "and reach each other's GPU memory; else hierarchical, where that can be; else host memory, and rank 0 warns "
        "once. nccl, ipc (the kernels): anything "
        "else is an error. host: copies to pinned memory, and collectives on CPU tensors from there. hierarchical: on "
        "several hosts, which need as many ranks each, all_reduce by NCCL or the kernels inside hosts and of each "
        "rank's shard through host memory between them, all else as host. What the way taken lacks, such as bitwise "
        "operations of NCCL, goes through host memory anyway, and so do messages between two ranks.",
    ),
    Setting(
        name="SMDDP_GPU_KERNELS",
        field="gpu_kernels",
        default="",
        parse=parse_text,
        range="a path",
        help="The shared object with kernels for GPUs to use. Default: smddp's own, where it was built with CUDA's "
        "compiler.",
    ),
    Setting(
        name="SMDDP_GPU_STAGING_BYTES",
        field="gpu_staging_bytes",
        default=64 * 1024**2,
        parse=pages_up_to(1024, least=64),
        range="64KiB..1024MiB",
        help="Memory of the GPU that smddp's own kernels set aside for each rank and group, for tensors that the other "
        "ranks cannot reach; the least of all ranks counts. What is larger than this goes in rounds, and ranks wait "
        "for each other twice in each.",
    ),
    Setting(
        name="SMDDP_GPU_OPEN_TENSORS",
        field="gpu_open_tensors",
        default="on",
        parse=choice_of("on", "off"),
        range="on, off",
        help="Whether this rank lets the other ranks of its host open the memory in which its CUDA tensors lie (CUDA "
        "IPC), so that smddp's own kernels read and write them in place. off: they are copied to and from memory set "
        "aside. Memory that is freed while others have it open is not free on the GPU until the group has had some "
        "collectives more.",
    ),
    Setting(
        name="SMDDP_TENSORFLOW_GPU",
        field="tensorflow_gpu",
        default="auto",
        parse=choice_of("auto", "on", "off"),
        range="auto, on, off",
        help="Whether smddp's TensorFlow ops work on the GPU's memory. auto: where TensorFlow was built with CUDA. on: "
        "whatever its device GPU is. off: TensorFlow copies their tensors to host memory, and back.",
    ),
    Setting(
        name="SMDDP_NCCL_LIBRARY",
        field="nccl_library",
        default="",
        parse=parse_text,
        range="a path",
        help="The libnccl.so.2 to use, unless the process has loaded one already, as torch with CUDA does. Default: "
        "that of NVIDIA's wheel, else where the loader finds one.",
    ),
    Setting(
        name="SMDDP_NCCL_MIN_CTAS",
        field="nccl_min_ctas",
        default=0,
        parse=whole_up_to(64),
        range="1..64",
        help="Fewest thread blocks (each takes an SM) of NCCL's kernels; needs SMDDP_NCCL_MAX_CTAS. NCCL's own "
        "variables (NCCL_MIN_CTAS and others) go before these.",
    ),
    Setting(
        name="SMDDP_NCCL_MAX_CTAS",
        field="nccl_max_ctas",
        default=0,
        parse=whole_up_to(64),
        range="1..64",
        help="Most thread blocks of NCCL's kernels. Default: NCCL's choice.",
    ),
    Setting(
        name="SMDDP_NCCL_CTA_POLICY",
        field="nccl_cta_policy",
        default="default",
        parse=choice_of("default", "efficiency", "zero"),
        range="default, efficiency, zero",
        help="How NCCL uses thread blocks. efficiency: few, where that costs little time. zero: copy engines instead "
        "of them where it can.",
    ),
)
