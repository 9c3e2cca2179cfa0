"""One rank of a `RankPool`: runs the cases named on standard input, answers one JSON line for each.

Answers go to the original standard output; everything that a case prints goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
import warnings
from datetime import timedelta

import torch

import smdistributed.dataparallel.torch.distributed as smdp

DEADLINE = timedelta(seconds=40)


def run_case(case: str) -> dict[str, object]:
    module, _, function = case.partition(":")
    try:
        cases = importlib.import_module(f"integration.compat.cases.{module}")
        result = getattr(cases, function)(smdp.get_rank(), smdp.get_world_size())
        # A rank that went on too early or too late would show up in the next case: keep cases apart.
        smdp.barrier()
    except Exception:
        return {"error": traceback.format_exc()}
    return {"result": result}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # that this module is deprecated: its own test
        smdp.init_process_group(timeout=DEADLINE)
    print(json.dumps({"result": None}), file=answers)
    for line in sys.stdin:
        print(json.dumps(run_case(line.strip())), file=answers)
    smdp.destroy_process_group()


if __name__ == "__main__":
    main()
