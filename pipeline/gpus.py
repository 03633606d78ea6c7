"""Which GPUs a stage may see; called before anything imports torch."""

import os


def hide_gpus(gpus) -> None:
    """Hide all of them where ``compute.gpus`` is 0.

    mmengine looks for CUDA while it is imported and uses it from then on, and CUDA itself reads
    the variable only once.
    """
    if gpus == 0:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
