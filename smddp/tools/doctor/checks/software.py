"""Versions are equal everywhere, and the native modules fit the frameworks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from smddp.tools.doctor.checks.subject import Subject, differences, error, note, warning
from smddp.tools.doctor.facts import HostFacts
from smddp.tools.doctor.finding import Finding

__all__ = ["check_adapters", "check_old_module", "check_versions"]

_REBUILD = "rebuild smddp there: pip install --no-build-isolation --force-reinstall --no-deps smddp"
_FRAMEWORKS = {"_torch": "torch", "_tf": "tensorflow"}


def check_versions(subject: Subject) -> Iterator[Finding]:
    """Programs of different versions do not understand each other, or compute different numbers."""
    if found := differences(subject, lambda host: host.software.architecture):
        yield error("architecture", f"the processors differ: {found}", "use hosts of one architecture for a job")
    if found := differences(subject, lambda host: ".".join(host.software.python.split(".")[:2])):
        yield error("python-version", f"Python differs: {found}", "use the same Python on all hosts")
    elif found := differences(subject, lambda host: host.software.python):
        yield note("python-version", f"Python differs: {found}", "use the same Python on all hosts")
    for package in ("smddp", "torch", "tensorflow"):
        if found := differences(subject, _version_of(package)):
            yield error(f"{package}-version", f"{package} differs: {found}", "install the same version on all hosts")
    for package in ("numpy", "keras", "mpi4py"):
        if found := differences(subject, _version_of(package)):
            yield warning(f"{package}-version", f"{package} differs: {found}", "install the same version on all hosts")


def check_adapters(subject: Subject) -> Iterator[Finding]:
    """Each framework that is installed has its adapter, which is built for it and loads."""
    for name, host in subject.each():
        software = host.software
        if "_core" not in software.built_for:
            yield error("core", "smddp's native module is not built", _REBUILD, name)
        for module, framework in _FRAMEWORKS.items():
            yield from _adapter(name, host, module, framework)
        for module, reason in software.load_errors.items():
            if not _fits(host, module):
                continue
            advice = "take the libraries in question out of LD_LIBRARY_PATH, or rebuild smddp"
            yield error("loading", f"smddp's module {module} does not load: {reason}", advice, name)


def check_old_module(subject: Subject) -> Iterator[Finding]:
    """Scripts import smdistributed.dataparallel, and it must be ours; so must smddp be."""
    for name, host in subject.each():
        software = host.software
        if software.old_module == "other" or "smdistributed-dataparallel" in software.packages:
            problem = "the original smdistributed.dataparallel is installed too, and scripts may import that one"
            advice = "pip uninstall smdistributed-dataparallel, then reinstall smddp"
            yield error("original-library", problem, advice, name)
        elif software.old_module == "missing":
            problem = "smdistributed.dataparallel cannot be imported"
            yield error("original-library", problem, "reinstall smddp: the wheel holds it", name)
        if len(software.smddp_copies) > 1:
            first, *others = software.smddp_copies
            problem = f"smddp is on Python's path more than once: {first} goes before {', '.join(others)}"
            yield warning("two-copies", problem, "take all but one out of PYTHONPATH", name)


def _version_of(package: str) -> Callable[[HostFacts], str]:
    return lambda host: host.software.packages.get(package, "none")


def _adapter(name: str, host: HostFacts, module: str, framework: str) -> Iterator[Finding]:
    installed = host.software.packages.get(framework)
    if installed is None:
        return
    if module not in host.software.built_for:
        problem = f"{framework} {installed} is installed, and smddp is built without its adapter"
        yield warning(f"{framework}-adapter", problem, f"if jobs use it: {_REBUILD}", name)
    elif not _fits(host, module):
        built_for = host.software.built_for[module]
        problem = f"smddp is built for {framework} {built_for}, and {installed} is installed"
        yield error(f"{framework}-adapter", problem, _REBUILD, name)


def _fits(host: HostFacts, module: str) -> bool:
    """Whether the adapter is built for the minor version that is installed, as far as it says."""
    built_for = host.software.built_for.get(module, "")
    installed = host.software.packages.get(_FRAMEWORKS.get(module, ""), "")
    return not built_for or not installed or built_for.split(".")[:2] == installed.split(".")[:2]
