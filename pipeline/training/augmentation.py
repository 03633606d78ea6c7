"""``augmentation`` params -> mmdet transforms."""

from pipeline.params import Augmentation

# Copy-paste keeps an occluded object by its remaining pixels; mmdet's limits are for 1280 px.
OCCLUSION_SCALE = 1280
OCCLUDED_BOX, OCCLUDED_MASK = 10, 300


def load_transforms(augmentation: Augmentation, image_scale) -> list[dict]:
    """From the file to an augmented image; applied to each image on its own."""
    with_mask = augmentation.copy_paste > 0
    return [
        dict(type="LoadImage"),
        dict(type="LoadAnnotations", with_bbox=True, with_mask=with_mask),
        *resize_transforms(augmentation, image_scale, with_mask),
        dict(type="FilterAnnotations", min_gt_bbox_wh=(1e-2, 1e-2), keep_empty=False),
        dict(type="RandomFlip", prob=augmentation.flip),
        *([dict(type="Pad", size=tuple(image_scale))] if with_mask else []),
    ]


def resize_transforms(augmentation, image_scale, with_mask):
    """Large-scale jitter: resize by a random factor, then crop back [BACL:configs/bacl]."""
    if tuple(augmentation.scale_jitter) == (1, 1):
        return [dict(type="Resize", scale=tuple(image_scale), keep_ratio=True)]
    width, height = image_scale
    return [
        dict(
            type="RandomResize",
            scale=(width, height),
            ratio_range=tuple(augmentation.scale_jitter),
            keep_ratio=True,
        ),
        dict(
            type="RandomCrop",
            crop_type="absolute",
            crop_size=(height, width),
            recompute_bbox=with_mask,
            allow_negative_crop=True,
        ),
    ]


def mix_transforms(augmentation: Augmentation, image_scale) -> list[dict]:
    """What needs a second image, and the packing."""
    transforms = []
    if augmentation.copy_paste:
        scale = max(image_scale) / OCCLUSION_SCALE
        transforms = [
            dict(
                type="CopyPaste",
                max_num_pasted=augmentation.copy_paste,
                bbox_occluded_thr=OCCLUDED_BOX * scale,
                mask_occluded_thr=OCCLUDED_MASK * scale**2,
            ),
        ]
    return [*transforms, dict(type="PackDetInputs")]


def test_transforms(image_scale) -> list[dict]:
    meta = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")
    return [
        dict(type="LoadImage"),
        dict(type="Resize", scale=tuple(image_scale), keep_ratio=True),
        dict(type="PackDetInputs", meta_keys=meta),
    ]
