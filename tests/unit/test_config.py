"""The table of settings: what is read from the environment, what is refused, what is only warned of."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smddp import config
from smddp.config import SETTINGS, Settings, read_settings, render_table
from smddp.config_native import to_native
from smddp.errors import SMDDPConfigError
from smddp.topology import instance
from smddp.topology.native import encode_host

from support.jobs import REPOSITORY


@pytest.fixture(autouse=True)
def nothing_told_yet() -> None:
    """What one test was told is told the next one again."""
    config._warn.cache_clear()


def test_documentation_is_fresh() -> None:
    path = REPOSITORY / "docs" / "config.md"
    assert path.read_text(encoding="utf-8") == render_table(), "run: python -m smddp.config > docs/config.md"


def test_defaults() -> None:
    assert read_settings({}) == Settings()
    values = dataclasses.asdict(Settings())
    assert values.pop("origins") == {}
    assert {setting.field: setting.default for setting in SETTINGS} == values


def test_origins_are_the_variables_whose_values_count() -> None:
    environ = {"SMDDP_TIMEOUT": "300", "NCCL_DEBUG": "INFO", "NCCL_DEBUG_FILE": "", "SMDDP_HOST_ID": ""}
    assert read_settings(environ).origins == {"timeout": "SMDDP_TIMEOUT", "log_level": "NCCL_DEBUG"}
    assert read_settings({"NCCL_DEBUG": "WEIRD"}).origins == {}


def test_empty_values_are_as_good_as_none() -> None:
    assert read_settings({setting.name: "" for setting in SETTINGS}) == Settings()


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_entries_are_complete(setting: object) -> None:
    assert setting.name.startswith("SMDDP_")
    assert setting.range
    assert setting.help.endswith((".", ")"))


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("SMDDP_TRANSPORT", "TCP", "transport", "tcp"),
        ("SMDDP_TIMEOUT", "5", "timeout", 5.0),
        ("SMDDP_TIMEOUT", "0.5", "timeout", 0.5),
        ("SMDDP_STRIPE_BYTES", "64KiB", "stripe_bytes", 65536),
        ("SMDDP_TRANSPORT", "shm+ofi", "transport", "shm+ofi"),
        ("SMDDP_OFI_PROVIDER", "TCP;ofi_rxm", "ofi_provider", "tcp;ofi_rxm"),
        ("SMDDP_CHUNK_BYTES", "4096", "chunk_bytes", 4096),
        ("SMDDP_CHUNK_BYTES", "64KiB", "chunk_bytes", 65536),
        ("SMDDP_CHUNK_BYTES", "1MB", "chunk_bytes", 1024**2),
        ("SMDDP_MOVE_APART", "Off", "move_apart", "off"),
        ("SMDDP_STORE_PORT", "12345", "store_port", 12345),
        ("SMDDP_DEBUG", "info", "log_level", "INFO"),
        ("SMDDP_DEBUG", "abort", "log_level", "NONE"),
        ("SMDDP_HOST_ID", "left half", "host_id", "left half"),
        ("SMDDP_SOCKET_IFNAME", "^=eth0,lo", "socket_ifname", "^=eth0,lo"),
        ("SMDDP_TOPOLOGY", "p4d.24xlarge", "topology", "p4d.24xlarge"),
        ("SMDDP_ORDER", "Any", "order", "any"),
        ("SMDDP_ALGORITHM", "all_reduce=ring,broadcast=tree", "algorithm", "all_reduce=ring,broadcast=tree"),
        ("NCCL_DEBUG", "TRACE", "log_level", "TRACE"),
        ("NCCL_DEBUG_FILE", "/tmp/log.%h.%p", "log_file", "/tmp/log.%h.%p"),
    ],
)
def test_good_values(name: str, text: str, field: str, value: object) -> None:
    assert getattr(read_settings({name: text}), field) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("SMDDP_TRANSPORT", "pigeon"),
        ("SMDDP_ORDER", "sorted"),
        ("SMDDP_OFI_PROVIDER", "sockets"),
        ("SMDDP_OFI_PROVIDER", "psm"),
        ("SMDDP_TIMEOUT", "soon"),
        ("SMDDP_TIMEOUT", "0"),
        ("SMDDP_TIMEOUT", "-1"),
        ("SMDDP_TIMEOUT", "nan"),
        ("SMDDP_TIMEOUT", "inf"),
        ("SMDDP_CHUNK_BYTES", "4097"),
        ("SMDDP_CHUNK_BYTES", "1GiB"),
        ("SMDDP_CHUNK_BYTES", "big"),
        ("SMDDP_STORE_PORT", "http"),
        ("SMDDP_STORE_PORT", "0"),
        ("SMDDP_STORE_PORT", "-5"),
        ("SMDDP_STORE_PORT", "70000"),
        ("SMDDP_DEBUG", "LOUD"),
        ("SMDDP_LISTEN_ADDRESS", "not an address"),
    ],
)
def test_bad_values_are_refused(name: str, text: str) -> None:
    with pytest.raises(SMDDPConfigError) as refusal:
        read_settings({name: text})
    setting = next(setting for setting in SETTINGS if setting.name == name)
    message = str(refusal.value)
    assert message.startswith(f"{name}={text}: ")
    assert setting.range in message
    assert "\n" not in message


def test_own_name_beats_an_alias() -> None:
    assert read_settings({"NCCL_DEBUG": "TRACE", "SMDDP_DEBUG": "INFO"}).log_level == "INFO"


def test_values_that_only_the_other_library_knows_are_skipped() -> None:
    assert read_settings({"NCCL_DEBUG": "SOMETHING"}).log_level == Settings().log_level


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("SMDDP_TIMOUT", "SMDDP_TIMEOUT"),
        ("SMDDP_TRANSPORTS", "SMDDP_TRANSPORT"),
        ("SMDDP_CHUNKBYTES", "SMDDP_CHUNK_BYTES"),
    ],
)
def test_typos_warn_with_the_nearest_name(typo: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert read_settings({typo: "5"}) == Settings()
    warning = capsys.readouterr().err
    assert warning.startswith("smddp: WARN ")
    assert typo in warning
    assert f"did you mean {meant}?" in warning
    assert warning.count("\n") == 1


def test_a_typo_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        read_settings({"SMDDP_TIMEOUTS": "5", "SMDDP_HOST": "a"})
    lines = capsys.readouterr().err.splitlines()
    assert sorted(line.split()[5].rstrip(";") for line in lines) == ["SMDDP_HOST", "SMDDP_TIMEOUTS"]


def test_names_like_no_other_warn_without_a_guess(capsys: pytest.CaptureFixture[str]) -> None:
    read_settings({"SMDDP_XYZZY_QQ": "1"})
    assert capsys.readouterr().err == "smddp: WARN unknown environment variable SMDDP_XYZZY_QQ\n"


def test_known_names_of_others_do_not_warn(capsys: pytest.CaptureFixture[str]) -> None:
    read_settings({"SMDDP_AG_SCRATCH_BUFFER_SIZE_BYTES": "1", "SMDATAPARALLEL_SERVER_PORT": "1", "PATH": "x"})
    assert capsys.readouterr().err == ""


@given(st.sampled_from(SETTINGS), st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20))
def test_any_text_is_a_value_or_one_clear_error(setting: object, text: str) -> None:
    try:
        read_settings({setting.name: text})
    except SMDDPConfigError as refusal:
        assert str(refusal).startswith(f"{setting.name}=")


def test_native_form() -> None:
    settings = Settings(transport="tcp", host_id="h", timeout=1.5, chunk_bytes=8192, log_level="INFO", leave_grace=0.25)
    native = to_native(settings)
    assert native.move_apart
    assert not to_native(Settings(move_apart="off")).move_apart
    assert (native.transport, native.host_id, native.chunk_bytes) == ("tcp", "h", 8192)
    assert (native.timeout, native.leave_grace) == (timedelta(seconds=1.5), timedelta(seconds=0.25))
    assert native.log_level == "INFO"
    assert (native.socket_ifname, native.topology) == ("", b"")
    assert (native.order, native.partials, native.algorithm) == ("canonical", "native", "")
    assert to_native(Settings(partials="fp32")).partials == "fp32"
    chosen = to_native(Settings(order="any", algorithm="all_reduce=ring"))
    assert (chosen.order, chosen.algorithm) == ("any", "all_reduce=ring")
    assert to_native(Settings(socket_ifname="eth")).socket_ifname == "eth"
    assert to_native(Settings(topology="p4d.24xlarge")).topology == encode_host(instance("p4d.24xlarge"))
