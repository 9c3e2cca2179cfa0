"""Hyperparameters: as the service stores them, as the script gets them on its command line. Pure.

The SDK turns each value into JSON, and the training toolkit reads it back; so a tuple arrives as a list, and a key
that is a number as a string. Names that begin with ``sagemaker_`` are for the toolkit and not for the script.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from smddp.errors import SMDDPArgumentError

__all__ = ["Hyperparameters", "decode", "encode", "split", "user_arguments"]

_PREFIX = "sagemaker_"
#: What the toolkit takes for itself. All others with the prefix are parameters of the framework.
_OF_THE_PLATFORM = frozenset(
    {
        *("sagemaker_program", "sagemaker_submit_directory", "sagemaker_enable_cloudwatch_metrics"),
        *("sagemaker_region", "sagemaker_container_log_level", "sagemaker_job_name", "default_user_module_name"),
        *("_tuning_objective_metric", "sagemaker_s3_output"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Hyperparameters by reader: the script, the framework's launcher, the platform."""

    user: dict[str, object]
    framework: dict[str, object]
    platform: dict[str, object]


def encode(values: Mapping[str, object]) -> dict[str, str]:
    """Return each value as JSON, as the file hyperparameters.json holds it.

    Raises:
        SMDDPArgumentError: a value that JSON cannot hold.
    """
    result = {}
    for name, value in values.items():
        try:
            result[str(name)] = json.dumps(value)
        except (TypeError, ValueError) as error:
            msg = f"hyperparameters: {name} is {type(value).__name__}, which JSON cannot hold: give numbers or text"
            raise SMDDPArgumentError(msg) from error
    return result


def decode(texts: Mapping[str, object]) -> dict[str, object]:
    """Return the values of hyperparameters.json; what is not JSON stays as it is."""
    result: dict[str, object] = {}
    for name, text in texts.items():
        try:
            result[name] = json.loads(text) if isinstance(text, (str, bytes, bytearray)) else text
        except ValueError:
            result[name] = text
    return result


def split(values: Mapping[str, object]) -> Hyperparameters:
    """Sort decoded hyperparameters by their readers."""
    platform = {name: value for name, value in values.items() if name in _OF_THE_PLATFORM}
    framework = {
        name: value for name, value in values.items() if name.startswith(_PREFIX) and name not in _OF_THE_PLATFORM
    }
    user = {name: value for name, value in values.items() if name not in platform and name not in framework}
    return Hyperparameters(user=user, framework=framework, platform=platform)


def user_arguments(values: Mapping[str, object]) -> list[str]:
    """Return the script's arguments: ``--name value`` sorted by name, one dash for names of one letter."""
    words: list[str] = []
    for name in sorted(values):
        words += [f"--{name}" if len(name) > 1 else f"-{name}", _argument(values[name])]
    return words


def _argument(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ",".join(f"{key}={item}" for key, item in sorted(value.items()))
    return str(value)
