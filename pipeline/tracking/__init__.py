"""The MLflow mirror of what the pipeline wrote.

Local files are the truth. MLflow is a copy of them that may be missing, slow or rebuilt: it never
stops or slows the pipeline, and ``python -m pipeline.tracking sync`` makes it again from the files.
"""
