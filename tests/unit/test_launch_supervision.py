"""What smddprun makes of what its ranks tell: pure parts."""

from __future__ import annotations

import io
import re
import signal
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smddp.launch.supervision.cause import find_cause
from smddp.launch.supervision.records import Ended, Record, Splitter, Started, encode
from smddp.launch.supervision.status_line import StatusLine
from smddp.launch.supervision.tagging import LineTagger
from smddp.launch.supervision.verdict import Job, exit_code, summarize

pytestmark = pytest.mark.timeout(60)

STARTED = Started(3, 4711, "node-b")
ENDED = Ended(3, -9, out_of_memory=True, cause="ValueError: a: b")


def split(pieces: list[bytes]) -> tuple[bytes, list[Record]]:
    splitter = Splitter()
    text, records = b"", []
    for piece in pieces:
        rest, found = splitter.feed(piece)
        text += rest
        records += found
    return text + splitter.end(), records


words = st.text(st.characters(codec="utf-8", exclude_characters="\x1e"), max_size=30)


@given(st.lists(st.one_of(words, st.sampled_from([STARTED, ENDED])), max_size=8), st.data())
def test_records_are_found_and_the_rest_is_left_as_it_is(parts: list[str | Record], data: st.DataObject) -> None:
    stream = b"".join(encode(part) if isinstance(part, Record) else part.encode() for part in parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[first:last] for first, last in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    text = "".join(part for part in parts if isinstance(part, str)).encode()
    assert split(pieces) == (text, [part for part in parts if isinstance(part, Record)])


@pytest.mark.parametrize("tag", [b"", b"[1,3]<stderr>:", b"[1,3]<stderr>: ", b"[3] "])
def test_tags_of_records_are_taken_out_with_them(tag: bytes) -> None:
    assert split([b"half a li", tag + encode(STARTED), b"ne\n"]) == (b"half a line\n", [STARTED])


def test_what_looks_like_a_record_stays() -> None:
    stream = b"\x1esmddprun started x\x1e\n\x1eother\x1e\n" + b"\x1esmddprun " + b"x" * 10000
    text, records = split([stream[:5], stream[5:]])
    assert (text[-20000:], records) == (stream[len(b"\x1esmddprun started x\x1e\n") :], [])


def test_a_cause_becomes_one_line() -> None:
    ((_, (record,)),) = [split([encode(Ended(0, 1, cause="A: \x1e two\nlines " + "x" * 2000))])]
    assert isinstance(record, Ended)
    assert record.cause.startswith("A: two lines xxx")
    assert len(record.cause) == 600


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", ""),
        ("a warning\n", ""),
        ("Traceback (most recent call last):\n  File x\n    raise y\nValueError: late\n", "ValueError: late"),
        ("Traceback (most recent call last):\n  File x\npkg.mod.Odd\n", "pkg.mod.Odd"),
        ("Traceback (most recent call last):\n  a\nOSError: one\n\nDuring handling:\n\n"
         "Traceback (most recent call last):\n  b\nKeyError: 'two'\nbye\n", "KeyError: 'two'"),
        ("[rank1]: Traceback (most recent call last):\n[rank1]:   File x\n[rank1]: ValueError: late\n",
         "ValueError: late"),
        ("10%\r20%\rSMDDPTimeoutError: rank 0 (h): all_reduce #3\r\n", "SMDDPTimeoutError: rank 0 (h): all_reduce #3"),
        ("terminate called after throwing an instance of 'x'\n  what(): y\n",
         "terminate called after throwing an instance of 'x'"),
        ("smddprun: rank 0: cannot run 'x': No such file\n", "smddprun: rank 0: cannot run 'x': No such file"),
        ("SMDDPError in the middle of talk\n", ""),
    ],
)  # fmt: skip
def test_cause(text: str, cause: str) -> None:
    assert find_cause(text) == cause


FAILED = "job failed after 5.0 s:"
ENDED_BY = "job ended after 5.0 s by"
LOST = Ended(0, 1, cause="SMDDPPeerLostError: rank 0 (a): all_reduce #7: rank 2 (b, pid 9) died")
WRONG = Ended(2, 1, cause="ValueError: late")
KILLED = Ended(2, -9)
PLACES = {rank: Started(rank, 100 + rank, "b") for rank in range(4)}


@pytest.mark.parametrize(
    ("job", "code", "line"),
    [
        (Job(4, dict(PLACES)), 0, ""),
        (Job(4, dict(PLACES), [WRONG]), 1,
         FAILED + " rank 2 (b, pid 102) exited with code 1: ValueError: late"),
        (Job(4, dict(PLACES), [LOST, WRONG]), 1,
         FAILED + " rank 2 (b, pid 102) exited with code 1: ValueError: late"),
        (Job(4, dict(PLACES), [KILLED, LOST]), 137,
         f"{FAILED} rank 2 (b, pid 102) was killed by SIGKILL; rank 0 saw: {LOST.cause}"),
        (Job(4, dict(PLACES), [LOST, KILLED]), 137,
         f"{FAILED} rank 2 (b, pid 102) was killed by SIGKILL; rank 0 saw: {LOST.cause}"),
        (Job(4, dict(PLACES), [KILLED], tail=f"Traceback\n{LOST.cause}\nother\n"), 137,
         FAILED + f" rank 2 (b, pid 102) was killed by SIGKILL; rank 0 saw: {LOST.cause}"),
        (Job(4, dict(PLACES), [LOST]), 1, f"{FAILED} rank 0 (b, pid 100) exited with code 1: {LOST.cause}"),
        (Job(4, {}, [Ended(1, -9, out_of_memory=True)]), 137,
         FAILED + " rank 1 was killed by SIGKILL, out of memory"),
        (Job(4, {}, [Ended(1, -64)]), 192, FAILED + " rank 1 was killed by SIGRTMAX"),
        (Job(4, {}, mpirun_status=213), 213,
         FAILED + " mpirun exited with code 213 before any rank had started; its message is above"),
        (Job(4, {0: PLACES[0], 2: PLACES[2]}, mpirun_status=-15), 143,
         FAILED + " mpirun was killed by SIGTERM before ranks 1, 3 had started; its message is above"),
        (Job(4, dict(PLACES), ended_by="SIGINT", ended_code=130, mpirun_status=1), 130, ENDED_BY + " SIGINT"),
        (Job(4, {0: PLACES[0]}, ended_by="the timeout of 5 s", ended_code=124), 124,
         ENDED_BY + " the timeout of 5 s before ranks 1, 2, 3 had started"),
    ],
)  # fmt: skip
def test_verdict(job: Job, code: int, line: str) -> None:
    assert (exit_code(job), summarize(job, 5)) == (code, line)


@pytest.mark.parametrize(("seconds", "text"), [(59.96, "60.0 s"), (61, "1:01 min"), (3723, "1:02:03")])
def test_duration(seconds: float, text: str) -> None:
    assert summarize(Job(1, mpirun_status=1), seconds).startswith(f"job failed after {text}: ")


def test_ranks_that_end_because_the_job_is_ended_are_no_failures() -> None:
    job = Job(2)
    job.add(Ended(0, 0))
    job.ended_by = "SIGINT"
    job.add(Ended(1, -signal.SIGTERM))
    assert job.failures == []


def test_status_line_shows_while_ranks_start_and_when_nothing_is_printed() -> None:
    terminal, now = io.BytesIO(), [100.0]
    job = Job(2)
    line = StatusLine(job, terminal.write, lambda: now[0])

    def shown() -> bytes:
        line.refresh()
        text = terminal.getvalue()
        terminal.seek(0)
        terminal.truncate()
        return text

    assert shown() == b"\r\x1b[Ksmddprun: 0 of 2 ranks started, 0 s"
    job.add(Started(0, 1, "a"))
    now[0] += 3
    assert shown() == b"\r\x1b[Ksmddprun: 1 of 2 ranks started, 3 s"
    line.clear()
    assert terminal.getvalue() == b"\r\x1b[K"
    job.add(Started(1, 2, "b"))
    now[0] += 30
    assert shown() == b"\r\x1b[K"
    now[0] += 1
    assert shown() == b"\r\x1b[Ksmddprun: 2 ranks run, no output for 31 s"
    line.clear()
    assert shown() == b"\r\x1b[K"


@given(st.text("ab\r\n", max_size=40), st.data())
def test_tags_stand_at_the_beginning_of_lines(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    tagger = LineTagger(b"[3] ")
    pieces = [text[first:last].encode() for first, last in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    tagged = b"".join(tagger.feed(piece) for piece in pieces) + tagger.end()
    ends = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", text)
    if ends and not ends[-1].endswith("\n"):
        ends[-1] = ends[-1].rstrip("\r") + "\n"
    assert tagged.decode() == "".join("[3] " + line for line in ends)


def test_long_lines_cost_what_they_are_long_and_come_in_parts() -> None:
    tagger = LineTagger(b"[0] ")
    begin = time.process_time()
    tagged = b"".join(tagger.feed(b"x" * 1000) for _ in range(1000)) + tagger.end()
    assert time.process_time() - begin < 1
    assert tagged.replace(b"[0] ", b"").replace(b"\n", b"") == b"x" * 1_000_000
    assert all(line.startswith(b"[0] x") for line in tagged.splitlines())
