"""Which errors are the user's to mend, in one line."""

from pipeline.masking import masked


def explain(error: Exception) -> str | None:
    """The line for a user's mistake, a failing disk or a full GPU; None for our own bugs."""
    if isinstance(error, (ValueError, OSError)):
        # from a data-loading worker an error arrives with its traceback; the last line says it
        return masked(str(error)).strip().splitlines()[-1]
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported here
        return "out of GPU memory; lower compute.images_per_gpu"
    if isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker"):
        # its own errors come as what they are: this one was killed, most often for want of memory
        return "a data-loading worker was killed; lower compute.workers if memory is short"
    return None
