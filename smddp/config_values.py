"""What a setting is, and how its text becomes its value; ValueError says what is wrong with it."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Callable
from typing import Any

__all__ = [
    "Setting",
    "choice_of",
    "pages_up_to",
    "parse_ipv4",
    "parse_level",
    "parse_ofi_provider",
    "parse_port",
    "parse_seconds",
    "parse_text",
    "whole_up_to",
]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One environment variable: its field in Settings, how to read it, and what to tell people."""

    name: str
    field: str
    default: Any
    parse: Callable[[str], Any]
    range: str
    help: str
    aliases: tuple[str, ...] = ()
    #: The default where a framework has one of its own.
    framework_default: str = ""


def parse_text(value: str) -> str:
    """Any text."""
    return value


def choice_of(*choices: str) -> Callable[[str], str]:
    """One of some words, in any case."""

    def parse(value: str) -> str:
        for choice in choices:
            if value.lower() == choice.lower():
                return choice
        msg = f"must be one of {', '.join(choices)}"
        raise ValueError(msg)

    return parse


def parse_seconds(value: str) -> float:
    """A time."""
    seconds = float(value)
    if not 0.001 <= seconds <= 10_000_000:
        msg = "must be between 0.001 and 10000000 seconds"
        raise ValueError(msg)
    return seconds


def parse_port(value: str) -> int:
    """A port of TCP."""
    port = int(value)
    if not 1 <= port <= 65535:
        msg = "must be between 1 and 65535"
        raise ValueError(msg)
    return port


def parse_ipv4(value: str) -> str:
    """An address."""
    return str(ipaddress.IPv4Address(value))


def whole_up_to(most: int) -> Callable[[str], int]:
    """A number from 1 on."""

    def parse(value: str) -> int:
        number = int(value)
        if not 1 <= number <= most:
            msg = f"must be between 1 and {most}"
            raise ValueError(msg)
        return number

    return parse


_UNITS = {"": 1, "k": 1024, "ki": 1024, "m": 1024**2, "mi": 1024**2}


def pages_up_to(most: int, least: int = 4) -> Callable[[str], int]:
    """A size of `least` KiB up to `most` MiB, in whole pages."""

    def parse(value: str) -> int:
        match = re.fullmatch(r"\s*(\d+)\s*(k|ki|m|mi)?b?\s*", value.lower())
        if match is None:
            msg = "must be a number of bytes such as 262144 or 256KiB"
            raise ValueError(msg)
        size = int(match[1]) * _UNITS[match[2] or ""]
        if not least * 1024 <= size <= most * 1024**2 or size % 4096 != 0:
            msg = f"must be a multiple of 4096 between {least}KiB and {most}MiB"
            raise ValueError(msg)
        return size

    return parse


def parse_ofi_provider(value: str) -> str:
    """A provider of libfabric that keeps messages."""
    if value.lower() == "sockets":
        msg = "libfabric's sockets provider is deprecated and loses messages; use tcp"
        raise ValueError(msg)
    return choice_of("auto", "efa", "verbs", "tcp", "tcp;ofi_rxm")(value)


def parse_level(value: str) -> str:
    """How much is logged, in NCCL's words too."""
    # NCCL's ABORT is as good as silence for us; its other levels have our names.
    return "NONE" if value.upper() == "ABORT" else choice_of("NONE", "VERSION", "WARN", "INFO", "TRACE")(value)
