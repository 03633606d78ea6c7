"""What a classifier takes over from the method it starts from, and what starts afresh."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from pipeline import params
from pipeline.detection.families import layers
from pipeline.params.parts import Loss, Predictor
from pipeline.training.starting_weights import taken_over
from pipeline.training.train import build_runner

LAYER = "roi_head.bbox_head.fc_cls."


@pytest.fixture(scope="module")
def settings(root, tmp_path_factory):
    """smoke on nine images, with the weights of `softmax` in start.pth, all of them 0.25."""
    folder = tmp_path_factory.mktemp("start")
    smoke = params.load(root / "configs" / "presets" / "smoke.yaml")
    smoke = replace(smoke, data=replace(smoke.data, train_images=9, val_images=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        smoke.data.prepare(folder / "data" / "symbols")
        model = build_runner(smoke, "softmax", folder / "softmax", None).model
        state = {key: torch.full_like(v, 0.25) if v.is_floating_point() else v
                 for key, v in model.state_dict().items()}  # fmt: skip
        torch.save(state, folder / "start.pth")
        yield smoke


def crt(settings, **block):
    plain = replace(
        settings.classifier["bacl"], start="softmax", loss=Loss("cross_entropy"), features=None,
        prior=None,
    )  # fmt: skip
    return replace(settings, classifier={**settings.classifier, "crt": replace(plain, **block)})


def begun(settings, tmp_path, name="crt"):
    """The model as its first step finds it."""
    tmp_path.mkdir(exist_ok=True)
    runner = build_runner(settings, name, tmp_path, "start.pth")
    runner.model.init_weights()
    runner.load_or_resume()
    return runner.model


def test_without_reinit_everything_is_taken_over(settings, tmp_path):
    state = begun(crt(settings), tmp_path).state_dict()
    assert all((v == 0.25).all() for v in state.values() if v.is_floating_point())


def test_reinit_starts_the_named_layers_afresh_and_no_other(settings, tmp_path):
    chosen = crt(settings, train=["fc_cls"], reinit=["fc_cls"])
    model = begun(chosen, tmp_path)
    assert model.roi_head.bbox_head.fc_cls.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert (model.roi_head.bbox_head.fc_cls.bias == 0).all()
    others = [p for name, p in model.named_parameters() if not name.startswith(LAYER)]
    assert all((p == 0.25).all() and not p.requires_grad for p in others)


def test_it_follows_the_seed(settings, tmp_path):
    chosen = crt(settings, reinit=["fc_cls"])

    def drawn(seed, folder):
        model = begun(replace(chosen, seed=seed), tmp_path / folder)
        return layers(model)["fc_cls"].weight

    first = drawn(0, "first")
    assert torch.equal(first, drawn(0, "again"))
    assert not torch.equal(first, drawn(1, "other"))


def test_a_layer_that_starts_afresh_has_the_heads_prior(settings, tmp_path):
    chosen = crt(settings, loss=Loss("bce"), prior=0.01, reinit=["fc_cls"])
    bias = layers(begun(chosen, tmp_path))["fc_cls"].bias
    assert bias.detach().numpy() == pytest.approx(-4.595, abs=1e-3)


def test_a_layer_that_starts_afresh_may_be_of_another_kind(settings, tmp_path):
    predictor = Predictor.from_yaml({"type": "normed_linear", "temperature": 7.0}, "predictor")
    model = begun(crt(settings, predictor=predictor, reinit=["fc_cls"]), tmp_path)
    layer = layers(model)["fc_cls"]
    assert layer.temperature == 7.0
    assert not (layer.weight == 0.25).any()


def test_another_shape_names_what_to_do(settings, tmp_path):
    model = build_runner(crt(settings), "crt", tmp_path, "start.pth").model
    state = torch.load("start.pth")
    state[f"{LAYER}weight"] = torch.zeros(15, 1024)
    torch.save(state, tmp_path / "wider.pth")
    block = SimpleNamespace(reinit=[])
    with pytest.raises(
        ValueError, match=r"fc_cls\.weight is \[15, 1024\].*classifier\.crt\.reinit"
    ):
        taken_over(str(tmp_path / "wider.pth"), model, "crt", block, tmp_path)
    block.reinit = ["fc_cls"]
    taken_over(str(tmp_path / "wider.pth"), model, "crt", block, tmp_path)


def test_statistics_start_at_zero(settings, tmp_path):
    model = build_runner(crt(settings), "crt", tmp_path, "start.pth").model
    statistics = ("bbox_head.loss_cls.class_count", "hallucination.mean")
    state = {"backbone.conv1.bias": torch.ones(2)}
    torch.save(state, tmp_path / "plain.pth")
    torch.save(
        {**state, **{f"roi_head.{k}": torch.ones(2) for k in statistics}}, tmp_path / "imported.pth"
    )
    block = SimpleNamespace(reinit=[])
    plain, imported = (
        taken_over(str(tmp_path / f"{name}.pth"), model, "crt", block, tmp_path)
        for name in ("plain", "imported")
    )
    assert plain == str(tmp_path / "plain.pth")
    assert list(torch.load(imported)) == list(state)
