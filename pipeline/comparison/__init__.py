"""Finished runs of the pipeline, from anywhere, as one table, with statistics over seeds."""
