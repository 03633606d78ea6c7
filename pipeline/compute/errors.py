"""Which errors are the user's to mend, in one line."""


def explain(error: Exception) -> str | None:
    """The line for a user's mistake, a failing disk or a full GPU; None for our own bugs."""
    if isinstance(error, (ValueError, OSError)):
        # from a data-loading worker an error arrives with its traceback; the last line says it
        return str(error).strip().splitlines()[-1]
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported here
        return "out of GPU memory; lower compute.images_per_gpu"
    return None
