"""The project's small detector, shrunk to train a step on a CPU in a fraction of a second."""

import copy

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmdet.utils import register_all_modules
from mmengine.structures import InstanceData

from pipeline.detection.families import family_of

CLASSES, SIZE = 5, 64
MASK_HEAD = dict(
    type="FCNMaskHead",
    num_convs=1,
    in_channels=32,
    conv_out_channels=8,
    num_classes=CLASSES,
    loss_mask=dict(type="CrossEntropyLoss", use_mask=True),
)


def build_detector(
    config, loss="fcbl", hallucination=True, agnostic=True, masks=False, box_head=None
):
    """A detector of 5 classes from a file of configs/detectors/; ``loss`` a name or a dict."""
    register_all_modules()
    model = copy.deepcopy(config.model)
    loss = dict(type=loss) if isinstance(loss, str) else loss
    arguments = hallucination if isinstance(hallucination, dict) else {}
    features = dict(type="hallucination", **arguments) if hallucination else None
    family = family_of(model)
    family.complete(model, CLASSES, dict(num_classes=CLASSES, **loss), features=features)
    if family.NAME == "two_stage":
        shrink_box_head(model, agnostic, box_head)
        if masks:
            add_masks(model)
    detector = MODELS.build(model)
    detector.init_weights()
    return detector


def shrink_box_head(model, agnostic, box_head):
    head = model["roi_head"]["bbox_head"]
    head.update(fc_out_channels=32, reg_class_agnostic=agnostic)
    if box_head:
        head["type"] = box_head
        del head["prior"]
    # so large that no proposal is left out at random
    model["train_cfg"]["rcnn"]["sampler"]["num"] = 10_000
    model["train_cfg"]["rpn"]["sampler"]["num"] = 100_000


def add_masks(model):
    model["type"] = "MaskRCNN"
    extractor = copy.deepcopy(model["roi_head"]["bbox_roi_extractor"])
    extractor["roi_layer"]["output_size"] = 14
    model["roi_head"].update(mask_roi_extractor=extractor, mask_head=copy.deepcopy(MASK_HEAD))
    model["train_cfg"]["rcnn"]["mask_size"] = 28


def training_batch(objects=3, images=2):
    """Normalised images [B, 3, 64, 64] and their samples, each with ``objects`` boxes and masks."""
    samples = [training_sample(objects) for _ in range(images)]
    return torch.randn(images, 3, SIZE, SIZE), samples


def training_sample(objects):
    corner = torch.rand(objects, 2) * (SIZE - 24)
    boxes = torch.cat([corner, corner + 16 + 8 * torch.rand(objects, 2)], dim=1)
    masks = torch.zeros(objects, SIZE, SIZE, dtype=torch.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.long().tolist(), strict=True):
        mask[y1:y2, x1:x2] = 1
    shape = (SIZE, SIZE)
    sample = DetDataSample(
        metainfo=dict(img_shape=shape, ori_shape=shape, pad_shape=shape, batch_input_shape=shape)
    )
    sample.gt_instances = InstanceData(
        bboxes=boxes,
        labels=torch.randint(0, CLASSES, (objects,)),
        masks=BitmapMasks(masks.numpy(), *shape),
    )
    return sample
