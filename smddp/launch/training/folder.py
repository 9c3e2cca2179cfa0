"""The folder of one job, in the place of a container's /opt/ml.

input/config/      hyperparameters.json, resourceconfig.json, inputdataconfig.json, ranks.json
input/data/NAME    the channel, as a link
model/             SM_MODEL_DIR
output/data/       SM_OUTPUT_DATA_DIR
output/success     empty, or output/failure: why the job failed
output/log.txt     what the job printed
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from smddp.errors import SMDDPArgumentError
from smddp.launch.training.environment import (
    Training,
    host_variables,
    input_data_config,
    job_variables,
    platform_parameters,
    resource_config,
)
from smddp.launch.training.hyperparameters import encode

__all__ = ["JobFolder", "RankSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankSettings:
    """What the user wants in each rank.

    Args:
        directory: working directory.
        environment: variables that SM_* of the same name replace, as in a container.
        exports: variables that replace all others, as with mpirun's -x.
    """

    directory: Path
    environment: Mapping[str, str]
    exports: Mapping[str, str]


class JobFolder:
    """Paths below ``base``, and what is written there before the job starts."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.model = base / "model"
        self.output = base / "output"
        self.output_data = self.output / "data"
        self.success = self.output / "success"
        self.failure = self.output / "failure"
        self.log = self.output / "log.txt"
        self.config = base / "input" / "config"
        self.ranks = self.config / "ranks.json"
        self._data = base / "input" / "data"

    def create(self, channels: Mapping[str, Path]) -> None:
        """Make the folders, and the links to the channels.

        Raises:
            SMDDPArgumentError: the job's folder exists, or the place cannot be written.
        """
        try:
            self.base.mkdir(parents=True)
            for folder in (self.config, self._data, self.model, self.output_data, self.output / "intermediate"):
                folder.mkdir(parents=True)
            for name, path in channels.items():
                self._link(name, path)
        except FileExistsError as error:
            msg = f"{self.base} is there already: give another job_name or output_path"
            raise SMDDPArgumentError(msg) from error
        except OSError as error:
            msg = f"cannot make the job's folder {self.base}: {error.strerror}"
            raise SMDDPArgumentError(msg) from error

    def write_config(self, training: Training, ranks: RankSettings) -> None:
        """Write the service's files, and for `smddp.launch.training.rank` what it sets in each rank.

        Nobody else can read the last: what users set may be passwords.
        """
        parameters = {**training.hyperparameters, **training.framework_parameters, **platform_parameters(training)}
        self._write("hyperparameters.json", encode(parameters))
        self._write("resourceconfig.json", resource_config(training, training.hosts[0]))
        self._write("inputdataconfig.json", input_data_config(training))
        content = {
            "directory": str(ranks.directory),
            "variables": {**ranks.environment, **job_variables(training), **ranks.exports},
            "hosts": [host_variables(training, host) for host in training.hosts],
        }
        descriptor = os.open(self.ranks, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)

    def _link(self, name: str, path: Path) -> None:
        place = self._data / name
        if path.is_dir():
            place.symlink_to(path, target_is_directory=True)
        else:
            # a channel is a folder, also when it holds one file
            place.mkdir()
            (place / path.name).symlink_to(path)

    def _write(self, name: str, content: object) -> None:
        (self.config / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
