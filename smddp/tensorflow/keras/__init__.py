"""`smddp.tensorflow` as scripts for `model.fit` import it, and the callbacks for them.

::

    import smddp.tensorflow.keras as sdp

    sdp.init()
    model.compile(sdp.DistributedOptimizer(keras.optimizers.SGD(0.1 * sdp.size())), loss, jit_compile=False)
    model.fit(own_part_of_the_data, callbacks=[sdp.callbacks.BroadcastGlobalVariablesCallback(0)])
"""

from __future__ import annotations

from smddp import tensorflow
from smddp.tensorflow import *  # noqa: F403 - the same names
from smddp.tensorflow.keras import callbacks

__all__ = ["callbacks"]
__all__ += tensorflow.__all__
__all__.remove("BroadcastGlobalVariablesHook")  # for sessions, which fit has none of
