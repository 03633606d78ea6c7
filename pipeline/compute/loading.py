"""A data-loading worker whose batch cannot be sent tells the training, which waits for it."""

from multiprocessing.queues import Queue


def report_lost_batches() -> None:
    """From now on, in this worker, an error in sending a batch is sent in its place.

    A queue sends from a thread of its own, by way of shared memory for tensors. Where that is full,
    Python's own queue prints a traceback and drops the batch, and the training waits for ever.
    """
    Queue._on_queue_feeder_error = send_error


def send_error(queue, error, item):
    """In place of ``item``, which is (number of the batch, the batch)."""
    from torch._utils import ExceptionWrapper

    number, _ = item
    queue.put((number, ExceptionWrapper((type(error), error, error.__traceback__), "in sending")))
