"""What the original promises, name by name: where a name is, how it is called, and which tests prove what it does.

`test_contract` compares names and signatures, and that every test named here is there and runs on several ranks or
in a process of its own. `docs/older-modules.md` tells users the same.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BEHAVIOURS", "LIFTED", "NAMES", "Behaviour", "Name"]

PACKAGE = "smdistributed.dataparallel"
OLD = f"{PACKAGE}.torch.distributed"
DDP_SIGNATURE = (
    "(module, device_ids=None, output_device=None, broadcast_buffers=True, process_group=None, bucket_cap_mb=None, *, "
    "gradient_accumulation_steps=1, find_unused_parameters=False, gradient_as_bucket_view=False, static_graph=False)"
)


@dataclass(frozen=True, slots=True)
class Name:
    """A name of the original.

    `path` is "module" or "module:name"; `signature` is what stands behind the name where it is defined, without
    annotations, and empty for what is not called.
    """

    path: str
    signature: str
    proofs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A promise that belongs to no single name."""

    promise: str
    proofs: tuple[str, ...]


def case(module: str, *names: str) -> tuple[str, ...]:
    """Cases that `test_worlds` runs on several ranks."""
    return tuple(f"integration/compat/cases/{module}.py::{name}" for name in names)


def started(*names: str) -> tuple[str, ...]:
    return tuple(f"integration/compat/test_start.py::{name}" for name in names)


def native(*names: str) -> tuple[str, ...]:
    return tuple(f"integration/compat/test_native.py::{name}" for name in names)


def script(*names: str) -> tuple[str, ...]:
    return tuple(f"integration/compat/test_scripts.py::{name}" for name in names)


def commands(*names: str) -> tuple[str, ...]:
    return tuple(f"integration/launch/test_old_commands.py::{name}" for name in names)


def package(*names: str) -> tuple[str, ...]:
    return tuple(f"unit/test_compat_package.py::{name}" for name in names)


SAME = ("integration/compat/test_contract.py::test_same_object_under_every_path",)
WITHOUT_FRAMEWORK = package("test_package_and_exceptions_load_without_any_framework")
EXCEPTIONS = package(
    "test_exceptions_module_holds_exactly_the_exceptions",
    "test_uncaught_exception_is_found_the_way_launchers_look_for_it",
)
TIMELINE = started("test_timeline", "test_timeline_per_rank")
REGISTERED = package("test_backend_is_registered_whatever_the_order")
EVERY_OP = case("collectives", "all_reduce_every_op")
RANKS = case("collectives", "ranks")
BY_ADDRESS = case("native", "every_dtype_and_count_in_place", "into_other_memory", "by_name")
WRAPPED = case("ddp_training", "parity_float64") + script("test_mnist")

PACKAGES = [
    Name(
        "smdistributed",
        "",
        package(
            "test_smdistributed_is_found_as_a_namespace_package", "test_another_distribution_may_add_to_the_namespace"
        ),
    ),
    Name(PACKAGE, "", WITHOUT_FRAMEWORK),
    Name(f"{PACKAGE}:__version__", "", WITHOUT_FRAMEWORK),
    Name(f"{PACKAGE}:start_profiler", "(path, append_rank=False)", TIMELINE),
    Name(f"{PACKAGE}:stop_profiler", "()", TIMELINE),
    Name(f"{PACKAGE}:_get_id_for_herring_task", "()", WITHOUT_FRAMEWORK + case("native", "many_at_once")),
    Name(f"{PACKAGE}.exceptions", "", EXCEPTIONS),
    Name(f"{PACKAGE}.exceptions:SMDDPError", "", EXCEPTIONS),
    Name(f"{PACKAGE}.exceptions:SMDDPNCCLError", "", EXCEPTIONS),
    Name(f"{PACKAGE}.torch", "", SAME),
    Name(f"{PACKAGE}.torch:get_local_rank", "()", SAME),
    Name(f"{PACKAGE}.torch:get_rank", "(group=group.WORLD)", SAME),
    Name(f"{PACKAGE}.torch:get_world_size", "(group=group.WORLD)", SAME),
    Name(f"{PACKAGE}.torch.parallel", "", SAME),
    Name(f"{PACKAGE}.torch.parallel:DistributedDataParallel", DDP_SIGNATURE, SAME + WRAPPED),
    Name(f"{PACKAGE}.torch.parallel.distributed", "", SAME),
    Name(f"{PACKAGE}.torch.parallel.distributed:DistributedDataParallel", DDP_SIGNATURE, SAME + WRAPPED),
    Name(f"{PACKAGE}.torch.torch_smddp", "", REGISTERED),
]

OLDER_MODULE = [
    Name(OLD, "", script("test_mnist", "test_init_process_group_called_again_and_again")),
    Name(
        f"{OLD}:is_available",
        "()",
        started("test_not_launched_is_a_world_of_one", "test_launched_as_the_only_rank_is_available")
        + script("test_library_is_left_aside_in_a_local_run"),
    ),
    Name(
        f"{OLD}:init_process_group",
        "(*args, **kwargs)",
        started("test_every_argument_is_accepted", "test_timeout_that_cannot_be_meant_stops_nobody")
        + case("collectives", "second_init_changes_nothing")
        + script("test_init_process_group_called_again_and_again"),
    ),
    Name(f"{OLD}:is_initialized", "()", RANKS + started("test_not_launched_is_a_world_of_one")),
    Name(f"{OLD}:get_world_size", "(group=group.WORLD)", RANKS),
    Name(f"{OLD}:get_rank", "(group=group.WORLD)", RANKS),
    Name(f"{OLD}:get_local_rank", "()", RANKS + started("test_local_rank_before_init")),
    Name(
        f"{OLD}:all_reduce",
        "(tensor, op=ReduceOp.SUM, group=group.WORLD, async_op=False)",
        EVERY_OP + case("collectives", "all_reduce_every_dtype", "all_reduce_same_bits"),
    ),
    Name(
        f"{OLD}:broadcast",
        "(tensor, src=0, group=group.WORLD, async_op=False)",
        case("collectives", "broadcast_from_every_rank", "asynchronous"),
    ),
    Name(
        f"{OLD}:all_gather",
        "(tensor_list, tensor, group=group.WORLD, async_op=False)",
        case("collectives", "all_gather", "asynchronous"),
    ),
    Name(
        f"{OLD}:all_to_all_single",
        "(output_t, input_t, output_split_sizes=None, input_split_sizes=None, group=group.WORLD, async_op=False)",
        case("collectives", "all_to_all_equal", "all_to_all_uneven", "all_to_all_asynchronous"),
    ),
    Name(f"{OLD}:barrier", "(group=group.WORLD, async_op=False)", case("collectives", "barrier", "asynchronous")),
    Name(f"{OLD}:ReduceOp", "", EVERY_OP),
    *(Name(f"{OLD}:ReduceOp.{op}", "", EVERY_OP) for op in ("AVERAGE", "SUM", "MIN", "MAX")),
    Name(f"{OLD}:group", "", RANKS + case("collectives", "wrong_usage")),
    Name(f"{OLD}:group.WORLD", "", RANKS + case("collectives", "barrier", "wrong_usage")),
]

NATIVE = [
    Name("smddpcommon", "", native("test_sums_of_numpy_arrays_need_no_framework") + script("test_throughput")),
    Name(
        "smddpcommon:setBucketSize",
        "(bytes)",
        case("ddp_training", "bucket_size_of_later_wrappers") + native("test_sums_of_numpy_arrays_need_no_framework"),
    ),
    Name("smddpcommon:herringFloat16", "", BY_ADDRESS),
    Name("smddpcommon:herringFloat32", "", BY_ADDRESS),
    Name("smddpcommon:allReduce", "(in_ptr, out_ptr, dtype, numel, index, total, task_id)", BY_ADDRESS),
    Name("smddpcommon:wait", "(request)", BY_ADDRESS + case("native", "many_at_once")),
]

NAMES = [*PACKAGES, *OLDER_MODULE, *NATIVE]

#: What the original lacked, and scripts may find here all the same; also more exceptions.
LIFTED = {
    f"{OLD}:{name}"
    for name in (
        "all_gather_object",
        "broadcast_object_list",
        "destroy_process_group",
        "get_backend",
        "reduce",
        "reduce_scatter",
    )
}

BEHAVIOURS = [
    # --- The package
    Behaviour("imports in any order with torch", REGISTERED + script("test_init_process_group_called_again_and_again")),
    Behaviour("smddpsinglenode and its like start a job", commands("test_launches_on_this_machine_without_any_number")),
    Behaviour("smddpmprun -i TYPE --allow-bypass wraps a rank", commands("test_wraps_a_rank_of_mpirun")),
    Behaviour("every command is installed", commands("test_command_is_installed")),
    Behaviour(
        "ranks from SMDATAPARALLEL_WORLD_RANK, _WORLD_SIZE and _LOCAL_RANK",
        ("unit/test_identity.py::test_each_source", *started("test_local_rank_before_init")),
    ),
    Behaviour(
        "meeting place from SMDATAPARALLEL_SERVER_ADDR and _SERVER_PORT",
        ("unit/test_launch_rank_env.py::test_several_hosts_with_an_address",),
    ),
    # --- The older module
    Behaviour(
        "deprecated since 1.4.0, in the original's words, once",
        started("test_deprecation_is_told_once_by_rank_0", "test_deprecation_is_not_told_again_after_leaving"),
    ),
    Behaviour("op=None means SUM", EVERY_OP),
    Behaviour("AVERAGE of floating-point numbers", EVERY_OP + case("collectives", "all_reduce_same_bits")),
    Behaviour("parameters that require grad are written", case("collectives", "leaf_parameters")),
    Behaviour("tensors of no dimension", case("collectives", "scalars_and_empty")),
    Behaviour("tensors of integers", case("collectives", "all_reduce_every_dtype", "scalars_and_empty")),
    Behaviour("tensors of any strides", case("collectives", "non_contiguous", "non_contiguous_asynchronous")),
    Behaviour("broadcast is from rank 0 unless told", case("collectives", "broadcast_from_every_rank")),
    Behaviour("wait() and is_completed() of handles", case("collectives", "asynchronous", "non_contiguous")),
    Behaviour("other groups are refused", case("collectives", "wrong_usage")),
    Behaviour("calls before init_process_group", started("test_use_before_init_says_what_to_do")),
    Behaviour("torch.distributed is usable beside it", case("collectives", "torch_distributed_beside")),
    Behaviour("ranks that do not come are a timeout", started("test_timeout_is_honoured")),
    # --- DistributedDataParallel
    Behaviour("needs init_process_group", started("test_use_before_init_says_what_to_do")),
    Behaviour("all arguments by position, in the original's order", case("ddp_errors", "good_arguments")),
    Behaviour("device_ids None or empty for CPU", case("ddp_errors", "good_arguments", "bad_arguments")),
    Behaviour("process_group None or group.WORLD", case("ddp_errors", "good_arguments", "bad_arguments")),
    Behaviour("broadcast_buffers, on and off", case("ddp_training", "broadcast_buffers", "buffers_left_alone")),
    Behaviour("buckets of 25 MiB unless told", case("ddp_training", "bucket_size_of_later_wrappers")),
    Behaviour("tensors above the bucket size", case("ddp_training", "large_tensors")),
    Behaviour("overlap with backward, last layers first", case("ddp_graphs", "overlap")),
    Behaviour("gradient_accumulation_steps", case("ddp_graphs", "accumulation_steps")),
    Behaviour("gradient_accumulation_steps=n is n batches", case("ddp_training", "parity_accumulated")),
    Behaviour("find_unused_parameters", case("ddp_graphs", "unused_differ_per_rank", "unused_parameters_keep_overlap")),
    Behaviour("gradient_as_bucket_view", case("ddp_training", "parity_with_bucket_views")),
    Behaviour("no_sync", case("ddp_graphs", "no_sync")),
    Behaviour(
        "construction makes parameters and buffers rank 0's", WRAPPED + case("ddp_training", "buffers_of_every_kind")
    ),
    Behaviour("the module is equal on all ranks", case("ddp_errors", "modules_differ")),
    Behaviour("state_dict keys begin with module.", case("ddp_layouts", "state_dict_keys")),
    Behaviour("moved and cast after wrapping", case("ddp_layouts", "cast_after_wrapping", "parameters_replaced")),
    Behaviour("several dtypes in one model", case("ddp_training", "parity_mixed_dtypes")),
    Behaviour("subclasses with a forward of their own", case("ddp_training", "parity_overridden_forward")),
    # --- smddpcommon
    Behaviour(
        "setBucketSize before or after init",
        native("test_sums_of_numpy_arrays_need_no_framework") + script("test_throughput"),
    ),
    Behaviour(
        "out_ptr may be in_ptr, or 0", case("native", "every_dtype_and_count_in_place", "output_of_zero_means_in_place")
    ),
    Behaviour("allReduce returns at once", case("native", "returns_before_the_others_come", "many_at_once")),
    Behaviour("bad arguments are refused at once", case("native", "wrong_arguments", "wrong_requests_and_sizes")),
    Behaviour(
        "wait raises what went wrong",
        native("test_wait_tells_both_sides_of_a_mismatch", "test_rank_that_dies_is_named"),
    ),
]
