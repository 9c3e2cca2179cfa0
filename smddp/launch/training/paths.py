"""Places that a user names: plain paths and ``file://`` URIs of this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from smddp.errors import SMDDPArgumentError

__all__ = ["channel_paths", "local_path"]

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_CHANNEL_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: The channel of an input that is not in a dictionary, as the SDK names it.
_ONLY_CHANNEL = "training"


def local_path(place: object, what: str) -> Path:
    """Return the absolute path of a place.

    Args:
        place: text or a path object; the SDK's TrainingInput if what it holds is one of these.
        what: who asks, for the message.

    Raises:
        SMDDPArgumentError: it is in S3 or elsewhere, or no place at all.
    """
    place = _uri_of_training_input(place)
    if not isinstance(place, (str, os.PathLike)) or not os.fspath(place):
        msg = f"{what} must be a path or a file:// URI, not {place!r}"
        raise SMDDPArgumentError(msg)
    text = os.fspath(place)
    uri = _URI.fullmatch(text) if isinstance(text, str) else None
    if uri is None:
        return Path(os.fsdecode(text)).expanduser().absolute()
    scheme, rest = uri.groups()
    if scheme.lower() != "file":
        msg = f"{what} is {text}, but jobs of smddp read and write this machine's files: copy it and give the path"
        raise SMDDPArgumentError(msg)
    return Path("/" + unquote(rest.removeprefix("localhost")).lstrip("/"))


def channel_paths(inputs: object) -> dict[str, Path]:
    """Return the paths of a job's channels by name; one input alone is the channel "training".

    Raises:
        SMDDPArgumentError: a channel has no valid name, or its path does not exist here.
    """
    if inputs is None:
        return {}
    named = inputs if isinstance(inputs, Mapping) else {_ONLY_CHANNEL: inputs}
    result = {}
    for name, place in named.items():
        if not isinstance(name, str) or not _CHANNEL_NAME.fullmatch(name) or name in (".", ".."):
            msg = f"inputs: {name!r} is no name for a channel: use letters, digits, '.', '_' and '-'"
            raise SMDDPArgumentError(msg)
        path = local_path(place, f"inputs: channel {name}")
        if not path.exists():
            msg = f"inputs: channel {name}: there is no {path}"
            raise SMDDPArgumentError(msg)
        result[name] = path
    return result


def _uri_of_training_input(place: object) -> object:
    config = getattr(place, "config", None)
    try:
        return config["DataSource"]["S3DataSource"]["S3Uri"] if isinstance(config, Mapping) else place
    except (KeyError, TypeError):
        return place
