"""What a rank says when an exception ends it."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smddp.parting import parting_words

from support.jobs import run_job

pytestmark = pytest.mark.timeout(60)


def fail_with(error: BaseException) -> None:
    raise error


def words_of(error: BaseException) -> str:
    try:
        fail_with(error)
    except BaseException:
        return parting_words()
    return "not raised"


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class OwnError(KeyError):
    """Named as the class is, not as its base."""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("bad batch"), "ValueError: bad batch"),
        (ValueError("\n first line \nsecond"), "ValueError: first line "),
        (ValueError(""), "ValueError"),
        (ValueError("tab\there\x1b[31m \udc80"), "ValueError: tab?here?[31m ?"),
        (OwnError("a"), "OwnError: 'a'"),
        (UnspeakableError(), "UnspeakableError"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (SystemExit(3), ""),
    ],
)
def test_words(error: BaseException, words: str) -> None:
    assert words_of(error) == words


def test_nothing_to_say() -> None:
    assert parting_words() == ""


@given(st.text(st.characters(), max_size=300))
def test_words_are_one_short_printable_line(text: str) -> None:
    words = words_of(ValueError(text))
    assert words.startswith("ValueError")
    assert len(words.encode()) <= 200
    assert words.isprintable()


def test_character_at_the_limit_is_whole() -> None:
    words = words_of(ValueError("x" * 187 + "\u20ac" * 9))
    assert words == "ValueError: " + "x" * 187


AT_EXIT = "import atexit, sys, threading; from smddp.parting import parting_words; "
AT_EXIT += "atexit.register(lambda: print(repr(parting_words()))); "


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ValueError('late')", "ValueError: late"),
        ("sys.excepthook = lambda *_: None; raise ValueError('hidden by a hook')", "ValueError: hidden by a hook"),
        ("sys.exit(3)", ""),
        ("pass", ""),
        ("t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()", ""),
    ],
)
def test_exception_that_ends_a_program(code: str, words: str) -> None:
    assert run_job([sys.executable, "-c", AT_EXIT + code], timeout=50).last_line == repr(words)


def test_error_at_a_prompt_ends_nothing() -> None:
    code = "import code, sys; sys.ps1 = '> '; code.InteractiveInterpreter().runsource('1 / 0')"
    assert run_job([sys.executable, "-c", AT_EXIT + code], timeout=50).last_line == repr("")
