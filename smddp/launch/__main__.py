"""``python -m smddp.launch``: the same as the command ``smddprun``."""

from __future__ import annotations

import sys

from smddp.launch.run import main

if __name__ == "__main__":
    sys.exit(main())
