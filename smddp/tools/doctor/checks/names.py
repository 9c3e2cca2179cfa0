"""What hosts are called, what tells them apart, and the ports of the job."""

from __future__ import annotations

from collections.abc import Iterator

from smddp.identity import is_loopback
from smddp.tools.doctor.checks.subject import Subject, error, note, warning
from smddp.tools.doctor.finding import Finding

__all__ = ["check_identity", "check_names", "check_ports"]


def check_identity(subject: Subject) -> Iterator[Finding]:
    """Hosts are told apart by an identity, and that must be different on each."""
    owners: dict[str, list[str]] = {}
    for name, host in subject.each():
        owners.setdefault(host.system.host_id, []).append(name)
    for identity, names in owners.items():
        if not identity:
            problem = "/proc does not tell the boot id or the network namespace, by which hosts are told apart"
            yield error("host-identity", problem, "set SMDDP_HOST_ID on each host to a name of its own", *names)
        elif len(names) > 1 and identity.startswith("name:"):
            problem = (
                f"SMDDP_HOST_ID is {identity.removeprefix('name:')} on all of these hosts, so ranks take them for one"
            )
            yield error("host-identity", problem, "unset SMDDP_HOST_ID, or set it to another name on each host", *names)
        elif len(names) > 1:
            problem = "these names lead to one and the same host"
            yield note("host-identity", problem, "name each host once, with all its ranks (-H host:N)", *names)


def check_names(subject: Subject) -> Iterator[Finding]:
    """Names lead where they should. Inside one host nobody needs them."""
    if not subject.is_spread:
        return
    bare = [name for name, _ in {(host.system.host_name, host.system.host_id) for host in subject.hosts}]
    for twice in sorted({name for name in bare if bare.count(name) > 1}):
        names = [name for name, host in subject.each() if host.system.host_name == twice]
        problem = f"these hosts have the same name, {twice}: messages cannot tell them apart"
        yield warning("same-name", problem, "give each host a name of its own (hostname)", *names)
    for name, host in subject.each():
        addresses = host.network.own_addresses
        if host.network.own_problem:
            problem = f"the host does not know its own name {host.system.host_name} ({host.network.own_problem})"
            yield warning("own-name", problem, "add it to /etc/hosts, with the address that others use", name)
        elif addresses and all(is_loopback(address) for address in addresses):
            problem = (
                f"the host's own name {host.system.host_name} means {addresses[0]} there: gloo would offer that "
                "to the other hosts (smddp does not)"
            )
            yield warning("own-name", problem, "let /etc/hosts give it the address that others use", name)


def check_ports(subject: Subject) -> Iterator[Finding]:
    """The ports of rank 0 are free, and nobody is likely to take them."""
    for name, host in subject.each():
        for port, holder in host.network.held_ports.items():
            which = "MASTER_PORT" if port == host.environment.variables.get("MASTER_PORT") else "MASTER_PORT + 1"
            problem = f"port {port} ({which}) is in use, by {holder}"
            yield error("port-in-use", problem, "end that process, or choose another MASTER_PORT", name)
        port = host.environment.variables.get("MASTER_PORT", "")
        outgoing = host.network.outgoing_ports
        if host.rank == 0 and port.isdecimal() and len(outgoing) == 2 and outgoing[0] <= int(port) <= outgoing[1]:
            problem = f"MASTER_PORT={port} is one of those that outgoing connections get ({outgoing[0]}-{outgoing[1]})"
            advice = f"choose one below {outgoing[0]}, or leave it to smddprun"
            yield note("port-range", problem, advice, name)
