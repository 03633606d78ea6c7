"""Faster R-CNN on ResNet-101-FPN."""

_base_ = "faster_rcnn_r50_fpn.py"
model = dict(backbone=dict(depth=101))
