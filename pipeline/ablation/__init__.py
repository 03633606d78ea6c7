"""Ablations: overrides of params.yaml, run in parallel as DVC experiments, and a table."""
