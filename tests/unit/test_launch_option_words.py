from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smddp.launch.option_words import option_words
from smddp.launch.options import parse_options
from smddp.launch.spec import Binding, Host, Options

pytestmark = pytest.mark.timeout(60)


def test_every_option_has_words() -> None:
    text = {"program": ("p",), "process_count": 3, "hosts": (Host("a", 2),), "mpi_options": ("-v", "a b")}
    more = {"exports": ("A=b c", "B"), "mpirun": "/m", "timeout": 1.5, "log_folder": "l", "binding": Binding.CORE}
    rest = {"oversubscribe": True, "dry_run": True, "tag_output": True, "distribution": "j.json", "check": True}
    options = Options(**text, **more, **rest)  # type: ignore[arg-type]
    default = Options(program=())
    missing = [f.name for f in dataclasses.fields(Options) if getattr(options, f.name) == getattr(default, f.name)]
    assert missing == []
    assert parse_options(option_words(options)) == options


@given(
    st.lists(st.text(), min_size=1, max_size=4),
    st.lists(st.text(max_size=9).map(lambda value: f"NAME={value}"), max_size=3),
    st.lists(st.text(max_size=9).filter(lambda word: not word.startswith("-")), max_size=3),
)
def test_option_words_round_trip(program: list[str], exports: list[str], mpi_options: list[str]) -> None:
    options = Options(program=tuple(program), exports=tuple(exports), mpi_options=("-v", *mpi_options))
    assert parse_options(option_words(options)) == options
