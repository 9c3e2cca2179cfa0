"""Whether a picture can be drawn, before anything is computed for it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from smddp.errors import SMDDPArgumentError

__all__ = ["check_picture"]


def check_picture(path: Path | None) -> None:
    """None: there is none to draw.

    Raises:
        SMDDPArgumentError: matplotlib is not installed, or there is no such folder.
    """
    if path is None:
        return
    if importlib.util.find_spec("matplotlib") is None:
        msg = "--svg needs matplotlib: pip install matplotlib"
        raise SMDDPArgumentError(msg)
    if not path.absolute().parent.is_dir():
        msg = f"{path}: there is no folder {path.absolute().parent}"
        raise SMDDPArgumentError(msg)
