"""Classification losses, one per file; the file's name is ``loss.type`` in params.yaml.

Each is built from ``dict(type=<file name>, num_classes=C, **the loss's other params)`` and called
as ``loss(cls_score[N, C + 1], label[N], weight=None, avg_factor=None)``; label C is background.
A loss that follows the training's progress has ``set_epoch(epoch)``, and one that hallucination
can work with has ``confusion() -> [C, C]``.
"""
