"""The classifier's last layer, one a file; the file's name is its `type`.

Built with ``in_features`` and ``out_features``. ``goes_on_from = ("linear",)`` in a class: it takes
over the weights of a classifier of those types, although its own type is another.
"""
