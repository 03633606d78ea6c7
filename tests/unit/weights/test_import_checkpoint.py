"""A checkpoint of the official code, imported: the same arrays, the same predictions."""

import os
import pickle
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import mmdet.datasets
import numpy as np
import pandas as pd
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.registry import init_default_scope

import pipeline.detection  # noqa: F401
from pipeline import params
from pipeline.compute.complete import complete
from pipeline.data.places import categories
from pipeline.detection.model import build_model, detector_config
from pipeline.files import file_digest, read_json
from pipeline.params.parts import Loss
from pipeline.training import __main__ as command
from pipeline.training.predict_task import prediction
from pipeline.training.train import complete_config
from pipeline.weights.import_checkpoint import MMDET_SPELLING, import_checkpoint

FCBL, BCE, CROSS_ENTROPY = (Loss(kind) for kind in ("fcbl", "bce", "cross_entropy"))


@pytest.fixture(scope="module")
def made(root, tmp_path_factory):
    """A folder with a few images of the smoke preset."""
    folder = tmp_path_factory.mktemp("import")
    smoke = params.load(root / "configs/presets/smoke.yaml")
    replace(smoke.data, train_images=9, val_images=4).prepare(folder / "data/symbols")
    return folder, smoke


@pytest.fixture
def settings(made, tmp_path, monkeypatch):
    """Params with ``pretrained.official`` at official.pth, in a folder that has the data."""
    folder, smoke = made
    (tmp_path / "data").symlink_to(folder / "data")
    monkeypatch.chdir(tmp_path)
    return with_block(smoke, loss=FCBL)


def with_block(settings, **changes):
    block = settings.pretrained.get("official") or params.Pretrained(
        weights="official.pth", loss=FCBL
    )
    return replace(settings, pretrained={"official": replace(block, **changes)})


def trained(settings, method="bacl", agnostic=True):
    """A model that was "trained" here: random arrays, published in models/ours; its state."""
    config = detector_config(settings)
    config.model = build_model(settings, settings.method(method), config.model)
    config.model.roi_head.bbox_head.reg_class_agnostic = agnostic
    config.metainfo = dict(classes=names(settings))
    init_default_scope("mmdet")
    state = {key: random_like(key, value) for key, value in build(config).state_dict().items()}
    folder = Path("models", "ours")
    folder.mkdir(parents=True)
    torch.save(state, folder / "weights.pth")
    config.dump(folder / "config.py")
    return state


def build(config):
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    return model


def random_like(key, value):
    """As initialised, where training needs it so; else whatever could come out of a training."""
    if value.dtype == torch.bool:
        return torch.rand(value.shape) < 0.5
    if "fc_cls" in key:
        return torch.randn(value.shape)  # so that detections differ by class
    return torch.rand(value.shape) if "loss_cls" in key or "hallucination" in key else value


def names(settings):
    return [category["name"] for category in categories(settings)]


def official(state):
    """Under the names and types of BACL's own code (fcbl.py, fhm_convfc_bbox_head.py)."""
    renamed = {
        "roi_head.bbox_head.loss_cls.confusion_sum": "roi_head.bbox_head.loss_cls.cm_numerator",
        "roi_head.bbox_head.loss_cls.class_count": "roi_head.bbox_head.loss_cls.num_gt",
        "roi_head.hallucination.mean": "roi_head.bbox_head.feature_prototype",
        "roi_head.hallucination.var": "roi_head.bbox_head.feature_variance",
        "roi_head.hallucination.seen": "roi_head.bbox_head.feature_used",
    }
    return OrderedDict((renamed.get(key, key), value.float()) for key, value in state.items())


def save(state, classes, path="official.pth", **more):
    """As mmdet 2.x does, for a model that ran on several GPUs."""
    wrapped = OrderedDict((f"module.{key}", value) for key, value in state.items())
    meta = {"mmdet_version": "2.28.2", "epoch": 12, "best": np.float64(0.278), **more}
    meta |= {"CLASSES": tuple(classes)} if classes else {}
    torch.save({"meta": meta, "state_dict": wrapped, "optimizer": {"state": {}}}, path)


def imported():
    return torch.load("models/official/weights.pth", weights_only=True)


@pytest.mark.parametrize("agnostic", [True, False])
def test_every_array_and_every_prediction_is_the_same(settings, agnostic, capsys):
    ours = trained(settings, agnostic=agnostic)
    save(official(ours), names(settings))
    import_checkpoint(settings, "official")
    theirs = imported()
    assert theirs.keys() == ours.keys()
    for key, value in ours.items():
        assert theirs[key].dtype == value.dtype
        assert torch.equal(theirs[key], value), key
    said = capsys.readouterr().out
    assert "mmdet 2.28.2" in said
    assert "12 classes, in the order of the data" in said
    assert f"class-{'agnostic' if agnostic else 'specific'} boxes" in said
    assert "cm_numerator" in said and "feature_used" in said
    both = replace(settings, pretrained=settings.pretrained | {"ours": settings.method("official")})
    for name in ("ours", "official"):
        complete(prediction(both, name))
    tables = [pd.read_parquet(f"predictions/{name}.parquet") for name in ("ours", "official")]
    assert len(tables[0]) > 10
    pd.testing.assert_frame_equal(*tables)


def test_where_it_came_from_is_noted(settings):
    save(official(trained(settings)), names(settings))
    import_checkpoint(settings, "official")
    noted = read_json("models/official/environment.json")
    assert noted["stage"] == "import_checkpoint"
    assert noted["source"] == "official.pth"
    assert noted["sha256"] == file_digest("official.pth")
    assert not {"seconds", "epochs", "iterations"} & set(noted)


@pytest.mark.parametrize("loss", ["bce", "cross_entropy"])
def test_a_model_without_fcbl_and_our_own_file_are_taken_too(settings, loss):
    ours = trained(settings, method="bce" if loss == "bce" else "softmax")
    import_checkpoint(
        with_block(settings, weights="models/ours/weights.pth", loss=Loss(loss)), "official"
    )
    assert all(torch.equal(imported()[key], value) for key, value in ours.items())
    head = Config.fromfile("models/official/config.py").model.roi_head
    assert head.type == "StandardRoIHead"
    assert head.bbox_head.loss_cls.type == loss


def test_what_the_model_has_no_use_for_is_listed(settings, capsys):
    state = official(trained(settings))
    save({**state, "ema_backbone_conv1_weight": torch.zeros(1)}, names(settings))
    bce = with_block(settings, loss=BCE)
    import_checkpoint(bce, "official")
    left = capsys.readouterr().out.splitlines()[-1]
    assert "ema_backbone_conv1_weight" in left and "hallucination.mean" in left


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("neck.fpn_convs.0.conv.weight"), r"fpn_convs\.0\.conv\.weight is missing"),
        (
            lambda s: s.update({"backbone.conv1.weight": torch.zeros(64, 3, 7, 7)}),
            r"backbone\.conv1\.weight is \[64, 3, 7, 7\] instead of \[32, 3, 7, 7\]",
        ),
        (lambda s: s.pop("roi_head.bbox_head.loss_cls.num_gt"), "class_count is missing"),
        (
            lambda s: s.pop("roi_head.bbox_head.loss_cls.cm_numerator"),
            r"set pretrained\.official\.loss\.type",
        ),
        (
            lambda s: s.update({"roi_head.bbox_head.fc_reg.weight": torch.zeros(44, 256)}),
            "fc_reg.weight has 44 rows; 4 .* or 48",
        ),
        (
            lambda s: s.pop("roi_head.bbox_head.fc_cls.weight"),
            "so it is no detector of mmdet",
        ),
    ],
)
def test_an_array_that_is_not_filled_stops_the_import(settings, change, words):
    state = official(trained(settings))
    change(state)
    save(state, names(settings))
    refused(settings, words)


def refused(settings, words):
    with pytest.raises(ValueError, match=words) as caught:
        import_checkpoint(settings, "official")
    assert "\n" not in str(caught.value)
    assert not Path("models/official").exists()


def test_the_batch_counters_may_be_missing(settings):
    state = official(trained(settings))
    save({k: v for k, v in state.items() if "num_batches" not in k}, names(settings))
    import_checkpoint(settings, "official")


def test_1230_classes_are_not_1203(settings):
    state = official(trained(settings))
    state["roi_head.bbox_head.fc_cls.weight"] = torch.zeros(1231, 256)
    save(state, None)
    refused(settings, r"scores 1230 classes .*, data/symbols has 12; LVIS v1 has 1203, v0\.5 has")


def test_another_order_is_an_error(settings):
    state, classes = official(trained(settings)), names(settings)
    classes[2], classes[3] = classes[3], classes[2]
    save(state, classes)
    refused(settings, rf"another order \(label 2 is '{classes[2]}' there, '{classes[3]}' here\)")


def test_without_names_the_order_is_said_to_be_unchecked(settings, capsys):
    save(official(trained(settings)), None)
    import_checkpoint(settings, "official")
    assert "names no classes" in capsys.readouterr().out
    assert not read_json("models/official/environment.json")["class_order_checked"]


def test_names_stand_beside_our_own_weights(settings):
    trained(settings)
    config = Path("models/ours/config.py")
    config.write_text(config.read_text().replace(names(settings)[5], "SOMETHING ELSE"))
    refused(with_block(settings, weights="models/ours/weights.pth"), "label 5 is 'SOMETHING ELSE'")


@pytest.mark.parametrize(("kind", "file"), [("LVISV1Dataset", "v1"), ("LVISV05Dataset", "v0.5")])
def test_the_names_of_mmdet_are_those_of_lvis(shared, kind, file):
    info = read_json(shared / f"data/lvis_meta/lvis_{file}_train_cat_info.json")
    lvis = [category["name"] for category in sorted(info, key=lambda c: c["id"])]
    official = getattr(mmdet.datasets, kind).METAINFO["classes"]
    assert list(official) != lvis
    assert [MMDET_SPELLING.get(name, name) for name in official] == lvis


def test_softmax_is_not_taken_for_fcbl(settings):
    save(official(trained(settings)), names(settings))
    softmax = with_block(settings, loss=CROSS_ENTROPY)
    refused(softmax, "its scores are sigmoids")


def test_another_file_than_the_digest_says(settings):
    save(official(trained(settings)), names(settings))
    refused(with_block(settings, sha256="0" * 64), r"pretrained\.official\.sha256 is 000")


@pytest.mark.parametrize("length", [0, 1000, 0.5, 0.99])
def test_a_truncated_file_is_named(settings, length):
    save(official(trained(settings)), names(settings))
    whole = Path("official.pth").read_bytes()
    Path("official.pth").write_bytes(whole[: int(length * len(whole) if length < 1 else length)])
    refused(settings, r"official\.pth cannot be read .*truncated\?")


class Attack:
    def __reduce__(self):
        return os.mkdir, ("attacked",)


def test_a_pickle_that_runs_something_is_refused(settings):
    save(official(trained(settings)), names(settings), hook=Attack())
    refused(settings, r"is refused: it would run (posix|nt|os)\.mkdir")
    assert not Path("attacked").exists()
    torch.load("official.pth", weights_only=False)
    assert Path("attacked").exists()  # it would have


class Disguised:
    """mmengine has a function that runs a shell command."""

    def __reduce__(self):
        from mmengine.utils import call_command

        return call_command, (["mkdir", "attacked"],)


def test_what_mmdet_keeps_beside_the_weights_is_inert(settings):
    state = official(trained(settings))
    history = HistoryBuffer([0.5], [1])
    save(state, names(settings), message_hub={"loss": history}, config=Config(dict(a=1)))
    with pytest.raises(pickle.UnpicklingError):
        torch.load("official.pth", weights_only=True)
    import_checkpoint(settings, "official")
    assert torch.equal(imported()["backbone.conv1.weight"], state["backbone.conv1.weight"])


def test_a_function_of_mmengine_is_not_run_either(settings):
    save(official(trained(settings)), names(settings), hook=Disguised())
    import_checkpoint(settings, "official")
    assert not Path("attacked").exists()


def test_a_classifier_that_starts_from_it_has_its_kind_of_boxes(settings):
    save(official(trained(settings, agnostic=False)), names(settings))
    import_checkpoint(settings, "official")
    bacl = replace(settings.classifier["bacl"], start="official")
    config = complete_config(replace(settings, classifier={"bacl": bacl}), "bacl", "work")
    shapes = {key: value.shape for key, value in MODELS.build(config.model).state_dict().items()}
    assert shapes == {key: value.shape for key, value in imported().items()}


def test_the_command_names_the_block_to_add(settings, root):
    text = (root / "configs/presets/smoke.yaml").read_text()
    Path("params.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"pretrained: \{x: \{weights: official\.pth, loss:"):
        command.import_by_hand("official.pth", "x")
    block = "pretrained: {x: {weights: elsewhere.pth, loss: {type: fcbl}}}\n"
    Path("params.yaml").write_text(text + block)
    save(official(trained(settings)), names(settings))
    command.import_by_hand("official.pth", "x")
    assert read_json("models/x/environment.json")["source"] == "official.pth"
