"""Variables: those of smddp, of launchers, and those that hide what is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from smddp.tools.doctor.checks.machine import cores_of
from smddp.tools.doctor.checks.subject import Subject, differences, error, note, warning
from smddp.tools.doctor.facts import HostFacts
from smddp.tools.doctor.finding import Finding

__all__ = ["check_hidden_files", "check_ranks", "check_settings", "check_threads", "check_variables"]

#: These change how ranks speak to each other, and must be equal in all of them.
_EQUAL = ("SMDDP_TRANSPORT", "SMDDP_CHUNK_BYTES", "SMDDP_STORE_PORT", "MASTER_ADDR", "MASTER_PORT")
_PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")


def check_ranks(subject: Subject) -> Iterator[Finding]:
    """Variables of launchers do not contradict each other, here or there."""
    advice = "unset what another job or a start-up file has left (env | grep -e RANK -e WORLD_SIZE)"
    if subject.rank_problem:
        yield error("rank-variables", subject.rank_problem, advice)
    for name, host in subject.each():
        if host.environment.rank_problem and host.environment.rank_problem != subject.rank_problem:
            yield error("rank-variables", host.environment.rank_problem, advice, name)


def check_settings(subject: Subject) -> Iterator[Finding]:
    """Settings have values that they can have."""
    for name, host in subject.each():
        environment = host.environment
        for variable, message in environment.bad_settings.items():
            yield error("setting", message, f"correct or unset {variable}", name)
        for variable, near in environment.unknown_settings.items():
            advice = f"did you mean {near}?" if near else "unset it; docs/config.md lists them all"
            yield warning("unknown-setting", f"{variable} is no setting of smddp", advice, name)
        if environment.log_problem:
            advice = "name a file in a folder that exists and is writable on every host"
            yield warning("log-file", environment.log_problem, advice, name)
        transport = environment.variables.get("SMDDP_TRANSPORT", "")
        if transport.startswith("inproc"):
            problem = f"SMDDP_TRANSPORT={transport} is for ranks that are threads of one process"
            yield error("transport", problem, "unset SMDDP_TRANSPORT", name)
        elif transport == "shm" and subject.is_spread:
            problem = "SMDDP_TRANSPORT=shm allows shared memory only, and the job is on several hosts"
            yield error("transport", problem, "unset SMDDP_TRANSPORT", name)
        elif transport == "tcp" and not subject.is_spread:
            problem = "SMDDP_TRANSPORT=tcp keeps ranks of one host from using shared memory"
            yield note("transport", problem, "unset SMDDP_TRANSPORT, unless that is wanted", name)
        level = environment.variables.get("SMDDP_DEBUG") or environment.variables.get("NCCL_DEBUG", "")
        if level.upper() == "TRACE":
            yield note("log-level", "SMDDP_DEBUG=TRACE logs every operation", "leave it out when speed counts", name)


def check_variables(subject: Subject) -> Iterator[Finding]:
    """What must be equal is equal on all hosts; proxies leave the hosts of the job alone."""
    for variable in _EQUAL:
        if found := differences(subject, _value_of(variable)):
            advice = "set it where smddprun is started, and in no start-up file of a host"
            yield error("unequal-variables", f"{variable} differs: {found}", advice)
    for name, host in subject.each():
        variables = host.environment.variables
        proxy = next((one for one in _PROXIES if variables.get(one)), None)
        exempt = variables.get("no_proxy") or variables.get("NO_PROXY") or ""
        if subject.is_spread and proxy and "*" not in exempt and not _covers(subject, exempt):
            problem = f"{proxy} is set, and no_proxy does not name the job's hosts: gRPC (TensorFlow) would use it"
            yield note("proxy", problem, "add the hosts to no_proxy if the job uses tf.distribute", name)


def check_hidden_files(subject: Subject) -> Iterator[Finding]:
    """The loader finds the libraries that things were built with."""
    for name, host in subject.each():
        for path in host.environment.hidden_libraries:
            ours = path.endswith(("libsmddp.so", "libc10.so", "libtorch_cpu.so", "libtorch.so", "framework.so.2"))
            problem = f"LD_LIBRARY_PATH makes programs load {path} instead of what is installed"
            yield (error if ours else warning)("library-path", problem, "take its folder out of LD_LIBRARY_PATH", name)
        for path in host.environment.missing_preloads:
            problem = f"LD_PRELOAD names {path}, which does not exist"
            yield warning("preload", problem, "take it out of LD_PRELOAD", name)


def check_threads(subject: Subject) -> Iterator[Finding]:
    """Each rank has as many threads as it has cores."""
    if found := differences(subject, _value_of("OMP_NUM_THREADS")):
        yield warning("threads", f"OMP_NUM_THREADS differs: {found}", "set it where smddprun is started")
    for name, host in subject.each():
        ranks, cores = subject.ranks.get(host.rank, 0), cores_of(host)
        text = host.environment.variables.get("OMP_NUM_THREADS", "")
        first = text.split(",")[0].strip()
        if text and not (first.isascii() and first.isdecimal() and int(first) > 0):
            problem = f"OMP_NUM_THREADS={text} is no number of threads"
            yield warning("threads", problem, "set it to the cores of a rank", name)
            continue
        threads = int(first) if first else 0
        share = max(int(cores // ranks), 1) if ranks else 0
        if ranks > 1 and threads * ranks > max(cores, ranks):
            problem = (
                f"{ranks} ranks with OMP_NUM_THREADS={threads} start more threads than there are cores ({cores:g})"
            )
            yield warning("threads", problem, f"export OMP_NUM_THREADS={share}", name)
        elif ranks > 1 and not threads:
            problem = f"OMP_NUM_THREADS is not set: each of the {ranks} ranks starts threads for all cores"
            yield note("threads", problem, f"export OMP_NUM_THREADS={share}", name)


def _value_of(variable: str) -> Callable[[HostFacts], str]:
    return lambda host: host.environment.variables.get(variable, "unset")


def _covers(subject: Subject, exempt: str) -> bool:
    words = [word.strip().lstrip(".") for word in exempt.split(",") if word.strip()]
    return all(any(host.system.host_name.endswith(word) for word in words) for host in subject.hosts)
