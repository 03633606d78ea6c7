"""A method's trained model as an MLflow model, to load in Python or to serve over HTTP.

Nothing in it is pickled: weights are plain tensors, the rest is text. ``data_folder`` and
``package`` write it without torch; ``detector``, which MLflow loads, runs it.
"""
