"""Classification losses, one per file; the file's name is ``loss.type`` in params.yaml.

A loss derives from ``scoring.ClassificationLoss``, or from one of its sigmoid kinds, which have
scores already. It is built from ``dict(type=<file name>, num_classes=C, **its knobs)`` and called
as ``loss(cls_score[N, width], label[N], weight=None, avg_factor=None)``; label C is background. It
returns a scalar, or a dict whose keys with ``loss`` are added up.

- ``get_cls_channels(C)`` is the width: C + ``extra_columns``.
- ``get_activation(cls_score)`` gives scores [N, C + 1], background (or 0) last.
- ``families = ("one_stage",)``: where it works, if not everywhere. A one-stage head takes a loss of
  width C alone, and has one call a level and the number of positives as ``avg_factor``.
- ``image_count``, ``instance_count`` (lists of C), ``num_images`` are handed in where the
  constructor has an argument of that name: of the training images (``model.statistic``).
- ``block = {...}``: what the loss wants of the block it stands in: ``prior``, ``predictor``,
  ``warmup_iters``, ``clip_gradient``. ``needs``: which knob is idle while another is false.
- State stands in buffers and changes in ``update(*rows)``, called by ``record(*rows)`` of
  ``step_statistics.StepStatistics``, with the rows of all ranks: a step is then one batch however
  it is divided.
- A loss that follows the training's progress has ``set_epoch(epoch)``, and one that hallucination
  can work with has ``own_share() -> [C]``: how much of itself each class has been taken for.
"""
