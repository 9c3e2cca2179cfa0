"""``python -m smddp.tools``: the ``smddp`` command."""

from __future__ import annotations

import sys

from smddp.tools.cli import main

if __name__ == "__main__":
    sys.exit(main())
