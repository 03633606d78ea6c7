"""Which images an epoch has, one rule a file; the file's name is its `type`.

A rule is registered with mmdet's ``DATA_SAMPLERS`` and built from ``index`` (the
``pipeline.data.index.Index`` of the training images), ``seed`` and its knobs. It has one method:
``draw(epoch)`` gives the epoch's images in the order in which they are seen, as positions in the
index [E]. It draws no image without objects, and as many images in every epoch; the same
arguments give the same draw, so that a resumed run and every rank see the same.
"""
