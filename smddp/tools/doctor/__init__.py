"""``smddp doctor``: examine all hosts of a job before it starts.

Read `run` first. One probe per host (`probe`, started by `start` through smddprun) gathers `facts` with the modules of
`collect`, then tries to reach every other host (`pairs`). The functions of `checks` judge what was gathered: pure, from
facts to findings. `report` shows them. `unreached` asks hosts by ssh whether they are there at all.

Nothing here imports the native library or a framework: whether those load is tried in processes of their own.
"""

from __future__ import annotations
