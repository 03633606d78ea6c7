"""LVIS evaluation: AP and AP-fixed, per category. ``python -m pipeline.evaluation --help``."""
