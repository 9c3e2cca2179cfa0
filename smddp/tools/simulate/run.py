"""Simulates a job over the spreads of what is not known exactly, and shows the bands."""

from __future__ import annotations

import json
import sys

from smddp.simulation.step import bands, likely_step, sample_steps
from smddp.tools.pictures import check_picture
from smddp.tools.simulate.job import find_job
from smddp.tools.simulate.options import Options
from smddp.tools.simulate.text import job_dict, job_lines

__all__ = ["simulate"]


def simulate(options: Options) -> int:
    """Show it; returns the exit code.

    Raises:
        SMDDPError: options that cannot be.
    """
    check_picture(options.svg)
    job = find_job(options)
    steps = sample_steps(job, options.samples, options.seed)
    found = bands(steps)
    if options.json:
        sys.stdout.write(json.dumps(job_dict(job, found, options.samples, options.seed), indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(job_lines(job, found, options.samples)) + "\n")
    if options.svg is not None:
        from smddp.tools.simulate.picture import draw

        draw(options.svg, job, likely_step(job), steps)
    return 0
