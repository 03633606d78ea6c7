"""The box and RoI heads inside the project's real detector, shrunk."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from tiny_detector import CLASSES, SIZE, build_detector, training_batch

import pipeline.detection  # noqa: F401
from pipeline.detection.families import family_of
from pipeline.detection.features.hallucination import FeatureHallucination

FEATURES = 32


@pytest.fixture(scope="module")
def config(root):
    return Config.fromfile(root / "configs" / "detectors" / "faster_rcnn_r18_fpn.py")


@pytest.fixture
def seeded():
    torch.manual_seed(0)


def losses_of(model, batch, seed=0):
    """One forward pass; rpn proposals come from the model, so equal weights give equal RoIs."""
    torch.manual_seed(seed)
    return model.loss(*batch)


def total(model, losses):
    return model.parse_losses(losses)[0]


@pytest.mark.usefixtures("seeded")
class TestTrainingStep:
    @pytest.mark.parametrize("agnostic", [True, False])
    @pytest.mark.parametrize("masks", [True, False])
    def test_hallucination_changes_the_classification_loss_only(self, config, agnostic, masks):
        arguments = dict(agnostic=agnostic, masks=masks)
        plain = build_detector(config, hallucination=False, **arguments)
        model = build_detector(config, **arguments)
        model.load_state_dict(plain.state_dict(), strict=False)
        model.roi_head.hallucination.seen.fill_(True)
        batch = training_batch()
        expected, losses = losses_of(plain, batch), losses_of(model, batch)
        assert ("loss_mask" in losses) == masks
        assert set(losses) == set(expected)
        assert losses["loss_cls"] != expected["loss_cls"]
        for name in set(losses) - {"loss_cls"}:
            torch.testing.assert_close(losses[name], expected[name], rtol=0, atol=0)
        total(model, losses).backward()

    def test_statistics_know_the_classes_of_the_ground_truths(self, config):
        model = build_detector(config)
        inputs, samples = training_batch()
        losses_of(model, (inputs, samples))
        labels = torch.cat([sample.gt_instances.labels for sample in samples])
        seen = model.roi_head.hallucination.seen.nonzero()[:, 0]
        assert set(labels.tolist()) == set(seen.tolist())

    def test_hallucinated_rows_join_the_confusion(self, config):
        plain = build_detector(config, hallucination=False)
        model = build_detector(config, hallucination=dict(sampled_classes=4, samples_per_class=3))
        model.load_state_dict(plain.state_dict(), strict=False)
        inputs, samples = training_batch()
        model.roi_head.hallucination.seen.fill_(True)  # so that every draw is valid
        losses_of(plain, (inputs, samples))
        losses_of(model, (inputs, samples))
        counts = [m.roi_head.bbox_head.loss_cls.class_count.sum() for m in (plain, model)]
        assert counts[1] - counts[0] == 12

    def test_a_step_draws_from_the_steps_before(self, config):
        plain = build_detector(config, hallucination=False)
        model = build_detector(config)
        model.load_state_dict(plain.state_dict(), strict=False)
        batch = training_batch()
        expected = [losses_of(plain, batch)["loss_cls"] for _ in range(2)]
        found = [losses_of(model, batch)["loss_cls"] for _ in range(2)]
        assert found[0] == expected[0]
        assert found[1] != expected[1]

    def test_images_without_ground_truth(self, config):
        model = build_detector(config)
        losses = losses_of(model, training_batch(objects=0))
        total(model, losses).backward()
        assert losses["loss_cls"].isfinite()
        assert not model.roi_head.hallucination.seen.any()
        assert model.roi_head.bbox_head.loss_cls.class_count.sum() == 0

    @pytest.mark.parametrize("masks", [False, True])
    def test_a_whole_step_in_bfloat16(self, config, masks):
        model = build_detector(config, masks=masks)
        batch = training_batch()
        expected = losses_of(model, batch)
        with torch.autocast("cpu", torch.bfloat16):
            losses = losses_of(model, batch)
        for name, value in model.parse_losses(losses)[1].items():
            assert value.isfinite()
            if name != "acc" and "cls" not in name:
                reference = model.parse_losses(expected)[1][name]
                torch.testing.assert_close(value.float(), reference, rtol=0.2, atol=0.05)
        total(model, losses).backward()

    def test_nothing_before_the_start_epoch(self, config):
        model = build_detector(config, hallucination=dict(start_epoch=3))
        plain = build_detector(config, hallucination=False)
        model.load_state_dict(plain.state_dict(), strict=False)
        batch = training_batch()
        losses, expected = losses_of(model, batch), losses_of(plain, batch)
        torch.testing.assert_close(losses, expected, rtol=0, atol=0)
        assert not model.roi_head.hallucination.seen.any()

    @pytest.mark.parametrize("loss", ["fcbl", "bce", "cross_entropy"])
    def test_our_box_head_without_hallucination_equals_mmdets(self, config, loss):
        ours = build_detector(config, loss, hallucination=False)
        theirs = build_detector(config, loss, hallucination=False, box_head="Shared2FCBBoxHead")
        theirs.load_state_dict(ours.state_dict())
        batch = training_batch()
        torch.testing.assert_close(losses_of(ours, batch), losses_of(theirs, batch))


def build_box_head(loss="fcbl", prior=None, agnostic=True, **more):
    head = MODELS.build(
        dict(
            type="LongTailBBoxHead",
            prior=prior,
            num_classes=CLASSES,
            in_channels=4,
            roi_feat_size=7,
            fc_out_channels=FEATURES,
            reg_class_agnostic=agnostic,
            loss_cls=dict(type=loss, num_classes=CLASSES),
            **more,
        )
    )
    head.init_weights()
    return head


def rows(head, count=10):
    """Arguments of ``loss`` for random RoIs: scores, deltas, rois, labels, weights, targets."""
    score, delta = head(torch.randn(count, 4, 7, 7))
    rois = torch.cat([torch.zeros(count, 1), torch.rand(count, 4).cumsum(dim=1) * 20], dim=1)
    labels = torch.arange(count) % (CLASSES + 1)
    foreground = (labels < CLASSES).float()[:, None].expand(count, 4)
    return [score, delta, rois, labels, torch.ones(count), torch.rand(count, 4), foreground]


@pytest.mark.usefixtures("seeded")
class TestBoxHead:
    def test_hallucinated_rows_reach_fc_cls_alone(self):
        head = build_box_head()
        arguments = rows(head)
        arguments[4] = torch.zeros(10)  # no RoI counts: what is left comes from hallucination
        features, labels = torch.randn(6, FEATURES), torch.arange(6) % CLASSES
        hallucinated = (features, labels, torch.ones(6, dtype=torch.bool))
        losses = head.loss(*arguments, hallucinated=hallucinated)
        expected = build_box_head().loss_cls(head.fc_cls(features), labels)
        torch.testing.assert_close(losses["loss_cls"], expected)
        losses["loss_cls"].backward()
        reached = {n for n, p in head.named_parameters() if p.grad is not None and p.grad.any()}
        assert reached == {"fc_cls.weight", "fc_cls.bias"}

    def test_rows_not_valid_count_for_nothing(self):
        head, other = build_box_head(), build_box_head()
        other.load_state_dict(head.state_dict())
        arguments = rows(head)
        features, labels = torch.randn(6, FEATURES), torch.arange(6) % CLASSES
        valid = torch.tensor([True, False, True, False, False, True])
        losses = head.loss(*arguments, hallucinated=(features, labels, valid))
        fewer = (features[valid], labels[valid], valid[valid])
        torch.testing.assert_close(losses, other.loss(*arguments, hallucinated=fewer))
        torch.testing.assert_close(head.loss_cls.confusion(), other.loss_cls.confusion())

    def test_autocast(self):
        """The head alone: mmcv's NMS has no bfloat16 on the CPU."""
        head, statistics = build_box_head(), FeatureHallucination(CLASSES, FEATURES)
        with torch.autocast("cpu", torch.bfloat16):
            embeddings = head.embed(torch.randn(20, 4, 7, 7))
            statistics.update(embeddings, torch.arange(20) % CLASSES)
            drawn = statistics.draw(head.loss_cls.own_share())
            losses = head.loss(*rows(head), hallucinated=drawn)
        losses["loss_cls"].backward()
        assert embeddings.dtype == torch.bfloat16
        assert losses["loss_cls"].dtype == statistics.mean.dtype == torch.float32
        expected = embeddings.float()[::CLASSES].mean(dim=0)
        torch.testing.assert_close(statistics.mean[0], expected)
        assert head.fc_cls.weight.grad.isfinite().all()

    def test_embed_is_what_fc_cls_sees(self):
        head, seen = build_box_head(), []
        head.fc_cls.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        features = torch.randn(3, 4, 7, 7)
        head(features)
        torch.testing.assert_close(head.embed(features), seen[0])

    def test_prior_is_the_initial_score_of_every_output(self):
        head = build_box_head(prior=0.01)
        scores = head.fc_cls(torch.zeros(1, FEATURES)).sigmoid()
        torch.testing.assert_close(scores, torch.full((1, CLASSES + 1), 0.01))
        assert head.fc_cls.weight.std().item() == pytest.approx(0.01, rel=0.2)
        assert (build_box_head().fc_cls.bias == 0).all()

    @pytest.mark.parametrize("loss", ["fcbl", "bce", "cross_entropy"])
    def test_scores_at_inference(self, loss):
        head = build_box_head(loss)
        logits, deltas = torch.randn(4, CLASSES + 1), torch.zeros(4, 4)
        rois = torch.tensor([[0.0, 5, 5, 20, 20]]).repeat(4, 1)
        metas = [dict(img_shape=(SIZE, SIZE))]
        scores = head.predict_by_feat((rois,), (logits,), (deltas,), metas)[0].scores
        sigmoid = logits.sigmoid()
        expected = torch.cat([sigmoid[:, :-1] * (1 - sigmoid[:, -1:]), sigmoid[:, -1:]], dim=1)
        if loss == "cross_entropy":
            expected = logits.softmax(dim=1)
        torch.testing.assert_close(scores, expected)


def test_hallucination_without_a_confusion_matrix_is_refused(config):
    with pytest.raises(ValueError, match=r"hallucination, which needs .* and bce keeps none"):
        build_detector(config, loss="bce")


class TestLosses:
    """Losses of any width, number and scores, inside the two-stage head."""

    @pytest.mark.usefixtures("seeded")
    @pytest.mark.parametrize("masks", [False, True])
    def test_a_loss_of_two_parts_is_summed_and_each_is_logged(self, config, masks):
        model = build_detector(config, "seesaw", hallucination=False, masks=masks)
        losses = losses_of(model, training_batch())
        parts = losses["cls_classes"] + losses["cls_objectness"]
        torch.testing.assert_close(losses["loss_cls"].detach(), parts)
        whole, logged = model.parse_losses(losses)
        added = sum(value for key, value in logged.items() if "loss" in key and key != "loss")
        torch.testing.assert_close(whole.detach(), added)
        whole.backward()
        assert model.roi_head.bbox_head.fc_cls.weight.grad.any()
        assert model.roi_head.bbox_head.fc_cls.out_features == CLASSES + 2
        assert model.roi_head.bbox_head.loss_cls.cum_samples.sum() > 0

    def test_its_scores_are_those_that_boxes_are_chosen_by(self):
        head = build_box_head("seesaw")
        logits = torch.randn(4, CLASSES + 2)
        torch.testing.assert_close(scores_of(head, logits), head.loss_cls.get_activation(logits))

    def test_the_predictor_is_the_classifier_s_last_layer(self, config):
        plain = build_box_head()
        assert type(plain.fc_cls) is torch.nn.Linear
        predictor = dict(type="normed_linear", temperature=7.0)
        head = build_box_head("seesaw", cls_predictor_cfg=predictor)
        features = torch.randn(3, FEATURES)
        weight = torch.nn.functional.normalize(head.fc_cls.weight, dim=1)
        expected = 7 * torch.nn.functional.normalize(features, dim=1) @ weight.t()
        torch.testing.assert_close(head.fc_cls(features), expected, rtol=1e-4, atol=1e-4)


def scores_of(head, logits):
    """[N, C + 1], as mmdet sees them before it chooses boxes."""
    rois = torch.tensor([[0.0, 5, 5, 20, 20]]).repeat(len(logits), 1)
    metas = [dict(img_shape=(SIZE, SIZE))]
    deltas = torch.zeros(len(logits), 4)
    return head.predict_by_feat((rois,), (logits,), (deltas,), metas)[0].scores


class Halved(torch.nn.Module):
    """A calibration: the softmax with the first class halved."""

    def __init__(self, num_classes, image_count):
        super().__init__()
        factor = torch.ones(num_classes + 1)
        factor[0] = 1 / image_count[0]
        self.register_buffer("factor", factor, persistent=False)

    def get_activation(self, cls_score):
        return cls_score.softmax(dim=1) * self.factor


@pytest.fixture
def halved(monkeypatch):
    monkeypatch.setitem(MODELS.module_dict, "halved", Halved)
    return dict(type="halved", num_classes=CLASSES, image_count=[2] * CLASSES)


@pytest.mark.usefixtures("seeded")
class TestCalibration:
    def test_scores_at_test_time_come_from_it(self, halved):
        plain = build_box_head("cross_entropy")
        head = build_box_head("cross_entropy", calibration=halved)
        assert head.state_dict().keys() == plain.state_dict().keys()
        logits = torch.randn(6, CLASSES + 1)
        expected = scores_of(plain, logits)
        expected[:, 0] /= 2
        torch.testing.assert_close(scores_of(head, logits), expected)

    def test_before_boxes_are_chosen(self, config, halved):
        """A box that only its halved score takes below the threshold is not there."""
        head = build_box_head("cross_entropy", calibration=halved)
        logits = torch.full((1, CLASSES + 1), -5.0)
        logits[0, 0] = 5.0
        roi, metas = torch.tensor([[0.0, 5, 5, 20, 20]]), [dict(img_shape=(SIZE, SIZE))]
        test = Config(dict(score_thr=0.6, nms=dict(type="nms", iou_threshold=0.5), max_per_img=9))
        found = head.predict_by_feat((roi,), (logits,), (torch.zeros(1, 4),), metas, test)[0]
        assert len(found) == 0

    def test_the_family_says_where_it_stands(self, config, halved):
        model = Config.fromfile(config.filename).model
        family = family_of(model)
        family.complete(model, CLASSES, dict(type="cross_entropy", num_classes=CLASSES))
        family.calibrate(model, halved)
        heads = family.build_heads(model)
        scores = family.loss_of(heads).get_activation(torch.zeros(1, CLASSES + 1))
        assert scores[0, 0] == scores[0, 1] / 2
