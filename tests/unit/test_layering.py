"""The layers of the native code: who may include whom."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.jobs import REPOSITORY

NATIVE = REPOSITORY / "native"

BELOW = {"topology", "memory", "reduce", "base"}
#: Folder of native/src -> other folders whose headers it may include.
LAYERS = {
    "base": set(),
    "memory": {"base"},
    "reduce": {"base"},
    "topology": {"base"},
    "probe": {"reduce", "base"},
    "plan": BELOW,
    "simulate": {"plan", "topology", "base"},
    "provider": BELOW,
    "transport": BELOW,
    "bootstrap": BELOW,
    "engine": {"plan", "provider", "transport", "bootstrap"} | BELOW,
    "device": {"engine", "plan", "provider"} | BELOW,
}
PUBLIC = "smddp"
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def includes(folder: Path) -> Iterator[tuple[Path, str]]:
    for source in sorted(folder.rglob("*")):
        if source.suffix in (".h", ".cc"):
            for name in INCLUDE.findall(source.read_text(encoding="utf-8")):
                yield source, name


def layer_of(source: Path) -> str:
    return source.relative_to(NATIVE / "src").parts[0]


def test_every_folder_is_a_known_layer() -> None:
    assert {path.name for path in (NATIVE / "src").iterdir() if path.is_dir()} == set(LAYERS)


def test_layers_include_only_what_is_below() -> None:
    wrong = []
    for source, name in includes(NATIVE / "src"):
        own = layer_of(source)
        if name.partition("/")[0] not in LAYERS[own] | {own, PUBLIC}:
            wrong.append(f"{source.relative_to(NATIVE)} includes {name}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", ["bindings", "adapters", "include"])
def test_users_of_the_engine_see_only_its_public_headers(folder: str) -> None:
    wrong = []
    for source, name in includes(NATIVE / folder):
        public = name.startswith(f"{PUBLIC}/") and (NATIVE / "include" / name).is_file()
        if not public and not (source.parent / name).is_file():
            wrong.append(f"{source.relative_to(NATIVE)} includes {name}")
    assert not wrong, "\n".join(wrong)


def test_included_headers_exist() -> None:
    missing = [
        f"{source.relative_to(NATIVE)} includes {name}"
        for source, name in includes(NATIVE / "src")
        if not (NATIVE / "src" / name).is_file() and not (NATIVE / "include" / name).is_file()
    ]
    assert not missing, "\n".join(missing)
