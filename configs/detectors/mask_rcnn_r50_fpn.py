"""Mask R-CNN on ResNet-50-FPN with the normalised mask predictor of LOCE.

[BACL:configs/bacl/mask_rcnn_r50_fpn_normed_mask_mstrain_1x_lvis_v1.py]
"""

_base_ = "faster_rcnn_r50_fpn.py"
model = dict(
    type="MaskRCNN",
    roi_head=dict(
        mask_roi_extractor=dict(
            type="Float32RoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=14, sampling_ratio=0),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32],
        ),
        mask_head=dict(
            type="FCNMaskHead",
            num_convs=4,
            in_channels=256,
            conv_out_channels=256,
            predictor_cfg=dict(type="NormedConv2d", temperature=20),
            loss_mask=dict(type="CrossEntropyLoss", use_mask=True, loss_weight=1.0),
        ),
    ),
    train_cfg=dict(rcnn=dict(mask_size=28)),
    test_cfg=dict(rcnn=dict(mask_thr_binary=0.5)),
)
