from __future__ import annotations

import json
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smddp.errors import SMDDPArgumentError
from smddp.launch.distribution import Distribution, parse_distribution, parse_framework_parameters
from smddp.launch.training.hyperparameters import decode, encode

pytestmark = pytest.mark.timeout(60)

OPTIONS = "-verbose -x NCCL_DEBUG=VERSION"


@pytest.mark.parametrize(
    ("dictionary", "expected"),
    [
        (None, Distribution()),
        ({}, Distribution()),
        ({"smdistributed": {"dataparallel": {"enabled": True}}}, Distribution(dataparallel=True)),
        ({"smdistributed": {"dataparallel": {"enabled": False}}}, Distribution()),
        ({"smdistributed": {}}, Distribution()),
        (
            {"smdistributed": {"dataparallel": {"enabled": True, "custom_mpi_options": OPTIONS}}},
            Distribution(dataparallel=True, custom_mpi_options=OPTIONS),
        ),
        (
            {"pytorchddp": {"enabled": True, "custom_mpi_options": OPTIONS}},
            Distribution(dataparallel=True, custom_mpi_options=OPTIONS),
        ),
        ({"torch_distributed": {"enabled": True}}, Distribution(torch_distributed=True)),
        (
            {"smdistributed": {"dataparallel": {"enabled": True}}, "torch_distributed": {"enabled": True}},
            Distribution(dataparallel=True, torch_distributed=True),
        ),
        (
            {"mpi": {"enabled": True, "processes_per_host": 4, "custom_mpi_options": OPTIONS}},
            Distribution(mpi=True, processes_per_host=4, custom_mpi_options=OPTIONS),
        ),
        (
            # as the toolkit: the number counts for the other strategies too
            {"smdistributed": {"dataparallel": {"enabled": True}}, "mpi": {"enabled": False, "processes_per_host": 3}},
            Distribution(dataparallel=True, processes_per_host=3),
        ),
    ],
)
def test_dictionaries(dictionary: object, expected: Distribution) -> None:
    assert parse_distribution(dictionary) == expected


@pytest.mark.parametrize(
    ("dictionary", "message"),
    [
        ("smdistributed", r"distribution must be a dictionary, not 'smdistributed'"),
        ({"smdistribted": {}}, r"distribution has an unknown key 'smdistribted': did you mean 'smdistributed'\?"),
        (
            {"parameter_server": {"enabled": True}},
            r"unknown key 'parameter_server'; known here: smdistributed, pytorch",
        ),
        ({3: {}}, r"unknown key 3; known here"),
        ({"smdistributed": True}, r"distribution: smdistributed must be a dictionary, not True"),
        ({"smdistributed": {"modelparallel": {}}}, r"distribution: smdistributed has an unknown key 'modelparallel'"),
        (
            {"smdistributed": {"dataparallel": {"enabled": "yes"}}},
            r"distribution: smdistributed.dataparallel.enabled must be true or false, not 'yes'",
        ),
        ({"smdistributed": {"dataparallel": {}}}, r"smdistributed.dataparallel needs 'enabled', true or false"),
        ({"pytorchddp": {"enabled": 1}}, r"distribution: pytorchddp.enabled must be true or false, not 1"),
        ({"torch_distributed": {"enabled": True, "custom_mpi_options": ""}}, r"torch_distributed has an unknown key"),
        ({"mpi": {"enabled": True, "procesess_per_host": 2}}, r"mpi has .* did you mean 'processes_per_host'\?"),
        ({"mpi": {"enabled": True, "processes_per_host": 0}}, r"mpi.processes_per_host must be .* at least 1, not 0"),
        ({"mpi": {"enabled": True, "processes_per_host": "2"}}, r"mpi.processes_per_host must be .*, not '2'"),
        ({"mpi": {"enabled": True, "processes_per_host": True}}, r"mpi.processes_per_host must be .*, not True"),
        ({"mpi": {"enabled": True, "custom_mpi_options": ["-v"]}}, r"mpi.custom_mpi_options must be one string"),
        ({"mpi": {"enabled": True, "custom_mpi_options": "-x 'A"}}, r"mpi.custom_mpi_options: no closing quotation"),
        ({"mpi": {"enabled": True, "custom_mpi_options": "-x"}}, r"custom_mpi_options: -x needs NAME"),
        ({"mpi": {"enabled": True, "custom_mpi_options": "-v -np 2"}}, r"holds -np: leave it out, instance_count"),
        ({"mpi": {"enabled": True, "custom_mpi_options": "--hostfile f"}}, r"holds --hostfile: leave it out"),
        (
            {"mpi": {"enabled": True}, "pytorchddp": {"enabled": True}},
            r"distribution: pytorchddp and mpi are enabled, but one job has one strategy",
        ),
        (
            {"pytorchddp": {"enabled": True}, "smdistributed": {"dataparallel": {"enabled": True}}},
            r"smdistributed.dataparallel and pytorchddp are enabled",
        ),
    ],
)
def test_each_mistake_is_one_sentence(dictionary: object, message: str) -> None:
    with pytest.raises(SMDDPArgumentError, match=message) as caught:
        parse_distribution(dictionary)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("dictionary", "sent"),
    [
        # what estimators of SDK 2.257.7 send for these
        (
            {"smdistributed": {"dataparallel": {"enabled": True, "custom_mpi_options": OPTIONS}}},
            {
                "sagemaker_distributed_dataparallel_enabled": "true",
                "sagemaker_instance_type": '"ml.p4d.24xlarge"',
                "sagemaker_distributed_dataparallel_custom_mpi_options": json.dumps(OPTIONS),
            },
        ),
        (
            {"mpi": {"enabled": True, "processes_per_host": 3}},
            {
                "sagemaker_mpi_enabled": "true",
                "sagemaker_mpi_num_of_processes_per_host": "3",
                "sagemaker_mpi_custom_mpi_options": '""',
            },
        ),
        (
            {"torch_distributed": {"enabled": True}},
            {"sagemaker_torch_distributed_enabled": "true", "sagemaker_instance_type": '"ml.p4d.24xlarge"'},
        ),
    ],
)
def test_hyperparameters_of_the_sdk(dictionary: object, sent: dict[str, str]) -> None:
    parsed = parse_distribution(dictionary)
    assert encode(parsed.to_framework_parameters("ml.p4d.24xlarge")) == sent
    assert parse_framework_parameters(decode(sent)) == parsed


def test_hyperparameters_of_the_hugging_face_estimator() -> None:
    sent = {"sagemaker_pytorch_ddp_enabled": "true", "sagemaker_instance_type": '"ml.p4d.24xlarge"'}
    assert parse_framework_parameters(decode(sent)) == Distribution(dataparallel=True)


def test_hyperparameters_that_say_nothing_of_a_strategy() -> None:
    assert parse_framework_parameters({"sagemaker_program": "t.py", "sagemaker_region": "x"}) == Distribution()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"sagemaker_distributed_dataparallel_enabled": "on"},
            "sagemaker_distributed_dataparallel_enabled must be true",
        ),
        ({"sagemaker_mpi_num_of_processes_per_host": 0}, "sagemaker_mpi_num_of_processes_per_host must be a whole"),
        ({"sagemaker_mpi_enabled": True, "sagemaker_pytorch_ddp_enabled": True}, "pytorchddp and mpi are enabled"),
    ],
)
def test_bad_hyperparameters(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(SMDDPArgumentError, match=message):
        parse_framework_parameters(parameters)


@pytest.mark.parametrize(
    ("options", "words", "exports"),
    [
        ("", (), ()),
        (OPTIONS, ("-verbose",), ("NCCL_DEBUG=VERSION",)),
        ("-x 'A=b c' -x HOME", (), ("A=b c", "HOME")),
        ("-x A=\"b 'c'\"", (), ("A=b 'c'",)),
        ("--NCCL_DEBUG WARN -mca pml ob1", ("-mca", "pml", "ob1"), ("NCCL_DEBUG=WARN",)),
        ("--NCCL_DEBUG=WARN", (), ("NCCL_DEBUG=WARN",)),
    ],
)
def test_mpi_options_are_read_as_by_a_shell(options: str, words: tuple[str, ...], exports: tuple[str, ...]) -> None:
    assert Distribution(mpi=True, custom_mpi_options=options).mpi_words() == (words, exports)


def plain_words() -> st.SearchStrategy[str]:
    return st.text(min_size=1, max_size=12).filter(lambda word: not word.startswith("-"))


@st.composite
def distributions(draw: st.DrawFn) -> Distribution:
    kind = draw(st.sampled_from(["none", "dataparallel", "torch", "both", "mpi"]))
    exports = draw(st.lists(st.text(max_size=12).map(lambda value: f"NAME={value}"), max_size=3))
    words = ["-verbose", *(word for export in exports for word in ("-x", export)), *draw(st.lists(plain_words()))]
    has_options = kind in ("dataparallel", "both", "mpi")
    return Distribution(
        dataparallel=kind in ("dataparallel", "both"),
        torch_distributed=kind in ("torch", "both"),
        mpi=kind == "mpi",
        custom_mpi_options=shlex.join(words) if has_options else "",
        processes_per_host=draw(st.none() | st.integers(1, 64)),
    )


@given(distributions())
def test_dictionary_round_trip(distribution: Distribution) -> None:
    assert parse_distribution(json.loads(json.dumps(distribution.to_dictionary()))) == distribution


@given(distributions(), st.text(max_size=20))
def test_hyperparameter_round_trip(distribution: Distribution, instance_type: str) -> None:
    sent = encode(distribution.to_framework_parameters(instance_type))
    received = parse_framework_parameters(decode(sent))
    assert received == distribution
    assert parse_distribution(received.to_dictionary()) == distribution


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.dictionaries(
            st.sampled_from(
                ["smdistributed", "dataparallel", "mpi", "pytorchddp", "enabled", "custom_mpi_options", "x"]
            ),
            inner,
        ),
    )
)
def test_anything_is_read_or_refused_in_one_line(value: object) -> None:
    try:
        parse_distribution(value)
    except SMDDPArgumentError as error:
        assert "\n" not in str(error)
