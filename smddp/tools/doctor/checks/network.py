"""Interfaces by which the hosts of a job can speak to each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_network

from smddp.tools.doctor.checks.subject import Subject, differences, error, note, warning
from smddp.tools.doctor.collect.interfaces import engine_order
from smddp.tools.doctor.facts import HostFacts, Interface
from smddp.tools.doctor.finding import Finding

__all__ = ["check_fabric", "check_interfaces", "check_named_interfaces", "chosen"]

_LISTEN = "SMDDP_LISTEN_ADDRESS"
_IFNAME = "SMDDP_SOCKET_IFNAME"
#: Lists of interface names, by prefix; gloo fails where one is missing, NCCL and Open MPI look no further.
_NAMING = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "OMPI_MCA_btl_tcp_if_include", "OMPI_MCA_oob_tcp_if_include")


def check_interfaces(subject: Subject) -> Iterator[Finding]:
    """Loopback is there; other hosts can have an address; those that are chosen belong together."""
    for name, host in subject.each():
        if not any(one.is_loopback and one.is_up for one in host.network.interfaces):
            problem = "the loopback interface is down or has no address, and ranks of one host meet there"
            yield error("loopback", problem, "ip link set lo up", name)
        listen = host.environment.variables.get(_LISTEN, "")
        own = [one.address for one in host.network.interfaces]
        if listen and listen not in own and _LISTEN not in host.environment.bad_settings:
            problem = f"{_LISTEN}={listen} is no address of this host (it has {', '.join(own) or 'none'})"
            yield error("listen-address", problem, f"unset {_LISTEN}, or set it on each host to its own", name)
        elif subject.is_spread and listen.startswith("127."):
            problem = f"{_LISTEN}={listen} cannot be reached from other hosts"
            yield error("listen-address", problem, f"unset {_LISTEN}", name)
        elif _spec(host) and not engine_order(host.network.interfaces, _spec(host)):
            known = ", ".join(one.name for one in host.network.interfaces if one.is_up)
            problem = (
                f"{_IFNAME}={_spec(host)} leaves no interface that is up and has an IPv4 address (there are {known})"
            )
            yield error("socket-ifname", problem, f"unset {_IFNAME}, or name one of these", name)
        elif subject.is_spread and chosen(host) is None:
            problem = "no interface that is up has an IPv4 address, except loopback"
            yield error("no-interface", problem, "ip address: give one an address, and set it up", name)
    if subject.is_spread:
        yield from _chosen_together(subject)
        yield from _same_addresses(subject)


def check_named_interfaces(subject: Subject) -> Iterator[Finding]:
    """Interfaces that variables name exist."""
    for name, host in subject.each():
        known = host.network.interface_names
        for variable in _NAMING:
            text = host.environment.variables.get(variable, "")
            wanted = [word for word in re.split(r"[,;]", text.lstrip("=")) if word and not text.startswith("^")]
            # NCCL takes prefixes, Open MPI networks too
            missing = [word for word in wanted if "/" not in word and not any(one.startswith(word) for one in known)]
            if missing and known:
                problem = f"{variable}={text} names no interface of this host (it has {', '.join(known)})"
                yield warning("interface-names", problem, f"unset {variable}, or name one of these", name)


def check_fabric(subject: Subject) -> Iterator[Finding]:
    """Fast networks are the same everywhere, and variables do not ask for one that is not there."""
    found = differences(subject, lambda host: f"{len(host.fabric.efa)} EFA devices")
    if found:
        yield warning("efa", f"not all hosts have the same: {found}", "use hosts of one type for a job")
    for name, host in subject.each():
        fabric = host.fabric
        provider = host.environment.variables.get("FI_PROVIDER", "")
        wanted = [word for word in re.split(r"[,;]", provider) if word and not word.startswith("^")]
        if "efa" in wanted and not fabric.efa:
            problem = "FI_PROVIDER=efa is set, and this host has no EFA device"
            yield note("efa", problem, "nothing to do: smddp takes it for a hint and uses tcp", name)
        elif fabric.providers is not None and wanted and not set(wanted) & set(fabric.providers):
            problem = f"FI_PROVIDER={provider} is none of libfabric's providers here ({', '.join(fabric.providers)})"
            yield note("libfabric-provider", problem, "unset FI_PROVIDER, or name one of these", name)
        if fabric.efa and fabric.providers is not None and "efa" not in fabric.providers:
            problem = f"there are EFA devices ({', '.join(fabric.efa)}), and libfabric has no provider for them"
            yield warning("efa", problem, "install the EFA installer's libfabric (/opt/amazon/efa)", name)


def chosen(host: HostFacts) -> Interface | None:
    """The interface that peers try first; None if there is none."""
    listen = host.environment.variables.get(_LISTEN, "")
    if listen:
        return next((one for one in engine_order(host.network.interfaces) if one.address == listen), None)
    return next(iter(engine_order(host.network.interfaces, _spec(host))), None)


def _spec(host: HostFacts) -> str:
    return host.environment.variables.get(_IFNAME, "")


def _chosen_together(subject: Subject) -> Iterator[Finding]:
    if found := differences(subject, lambda host: _described(chosen(host), "mtu")):
        advice = "ip link set DEVICE mtu N: the same on all hosts, and on the switches between them"
        yield warning("mtu", f"the MTU of the interfaces differs: {found}", advice)
    if found := differences(subject, lambda host: _described(chosen(host), "network")):
        advice = f"if a slow network is among them, set {_LISTEN} on each host to its address in the right one"
        yield note("networks", f"the interfaces that are tried first are in different networks: {found}", advice)


def _described(interface: Interface | None, what: str) -> str:
    if interface is None:
        return ""
    if what == "mtu":
        return str(interface.mtu)
    return str(ip_network(f"{interface.address}/{interface.prefix}", strict=False))


def _same_addresses(subject: Subject) -> Iterator[Finding]:
    """Bridges of containers have the same on all hosts; only the others matter."""
    owners: dict[str, list[str]] = {}
    for name, host in subject.each():
        for one in engine_order(host.network.interfaces):
            if one.is_likely:
                owners.setdefault(one.address, []).append(name)
    for address, names in owners.items():
        # hosts in one network namespace are one host, of which other checks speak
        if len(set(names)) > 1 and len({_host_id(subject, name) for name in names}) > 1:
            problem = f"{address} is the address of an interface on all of these hosts"
            yield error("same-address", problem, "give each host an address of its own", *names)


def _host_id(subject: Subject, name: str) -> str:
    return next(host.system.host_id for known, host in subject.each() if known == name)
