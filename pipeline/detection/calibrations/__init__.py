"""Corrections of trained scores, one a file; the file's name is its `type`.

A calibration is a module registered with mmdet's ``MODELS``, built from ``num_classes``, the class
statistics that it names (``image_count``, ...) and its knobs, and has two methods:

- ``get_activation(cls_score [N, width]) -> scores [N, C + 1]``, background last;
- ``uncorrected``: likewise, the scores that it corrects; a model whose loss gives others cannot be
  calibrated by it.

It adds nothing to the state dict: the weights stay what they were.
"""
