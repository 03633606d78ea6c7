"""One thin script per DVC stage: read params, call ``pipeline``, write outputs."""
