"""From `Options` back to the words of a smddprun command. Pure; the inverse of `smddp.launch.options.parse_options`."""

from __future__ import annotations

import shlex

from smddp.launch.hosts import format_hosts
from smddp.launch.spec import Binding, Options

__all__ = ["option_words"]


def option_words(options: Options) -> list[str]:
    """Return the words after ``smddprun``, the program included."""
    words: list[str] = []
    for flag, text in (
        ("-np", None if options.process_count is None else str(options.process_count)),
        ("-H", format_hosts(options.hosts) if options.hosts else None),
        ("--mpirun", options.mpirun),
        ("--timeout", None if options.timeout is None else repr(options.timeout)),
        ("--log-dir", options.log_folder),
        ("--bind", None if options.binding is Binding.NONE else options.binding.value),
        ("--distribution", options.distribution),
    ):
        if text is not None:
            words += [flag, text]
    for flag, is_set in (
        ("--oversubscribe", options.oversubscribe),
        ("--tag-output", options.tag_output),
        ("--dry-run", options.dry_run),
        ("--check", options.check),
    ):
        if is_set:
            words.append(flag)
    if options.mpi_options:
        words += ["--mpi-options", shlex.join(options.mpi_options)]
    words += [word for export in options.exports for word in ("-x", export)]
    return [*words, "--", *options.program]
