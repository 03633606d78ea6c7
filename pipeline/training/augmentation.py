"""``augmentation`` params -> mmdet transforms."""

from pipeline.params import Augmentation

# Copy-paste keeps an occluded object by its remaining pixels; mmdet's limits are for 1280 px.
OCCLUSION_SCALE = 1280
OCCLUDED_BOX, OCCLUDED_MASK = 10, 300


def load_transforms(augmentation: Augmentation, image_scale, masks=False) -> list[dict]:
    """From the file to an augmented image; applied to each image on its own.

    ``image_scale`` is (width, height) in pixels; ``masks``: the detector learns from them.
    """
    pastes = augmentation.copy_paste > 0
    canvas = tuple(augmentation.canvas or image_scale)
    with_mask = masks or pastes
    return [
        dict(type="LoadImage"),
        dict(type="LoadObjects", masks=with_mask),
        *resize_transforms(augmentation, image_scale, canvas, with_mask),
        dict(type="FilterAnnotations", min_gt_bbox_wh=(1e-2, 1e-2), keep_empty=False),
        dict(type="FlipImage", prob=augmentation.flip),
        *([dict(type="Pad", size=canvas)] if pastes else []),
    ]


def resize_transforms(augmentation, image_scale, canvas, with_mask):
    """One size, a random short edge, or large-scale jitter [BACL:configs/bacl]."""
    if augmentation.short_edges:
        longest = max(image_scale)
        scales = [(longest, edge) for edge in augmentation.short_edges]
        return [dict(type="RandomChoiceResize", scales=scales, keep_ratio=True)]
    square = canvas[0] == canvas[1]
    # an upright photo fits a wide canvas only where it is cropped, and pasting needs one size
    if tuple(augmentation.scale_jitter) == (1, 1) and (square or not augmentation.copy_paste):
        return [dict(type="Resize", scale=canvas, keep_ratio=True)]
    jitter = dict(
        type="RandomResize",
        scale=canvas,
        ratio_range=tuple(augmentation.scale_jitter),
        keep_ratio=True,
    )
    crop = dict(
        type="RandomCrop",
        crop_type="absolute",
        crop_size=canvas,
        recompute_bbox=with_mask,
        allow_negative_crop=True,
    )
    return [jitter, crop]


def mix_transforms(augmentation: Augmentation, image_scale, masks=False) -> list[dict]:
    """What needs a second image, and the packing."""
    transforms = []
    if augmentation.copy_paste:
        scale = max(augmentation.canvas or image_scale) / OCCLUSION_SCALE
        transforms = [
            dict(
                type="PasteObjects",
                masks=masks,
                max_num_pasted=augmentation.copy_paste,
                bbox_occluded_thr=OCCLUDED_BOX * scale,
                mask_occluded_thr=OCCLUDED_MASK * scale**2,
            ),
            # an object in the corner that is covered whole stays, with an empty box: a loss of nan
            dict(type="FilterAnnotations", min_gt_bbox_wh=(1e-2, 1e-2), keep_empty=False),
        ]
    return [*transforms, dict(type="SplitColours"), dict(type="PackDetInputs")]


def test_transforms(image_scale) -> list[dict]:
    meta = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")
    return [
        dict(type="LoadImage"),
        dict(type="Resize", scale=tuple(image_scale), keep_ratio=True),
        dict(type="PackDetInputs", meta_keys=meta),
    ]
