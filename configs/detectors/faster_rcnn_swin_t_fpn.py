"""Faster R-CNN on Swin-T-FPN [mmdet:configs/swin; BACL, branch swin_transformer].

``detector.weights`` takes the file of the Swin authors: its names are converted on loading.
"""

_base_ = "faster_rcnn_r50_fpn.py"
model = dict(
    backbone=dict(
        _delete_=True,
        type="SwinTransformer",
        embed_dims=96,
        depths=[2, 2, 6, 2],
        num_heads=[3, 6, 12, 24],
        window_size=7,
        mlp_ratio=4,
        qkv_bias=True,
        drop_path_rate=0.2,
        patch_norm=True,
        out_indices=(0, 1, 2, 3),
        convert_weights=True,
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
