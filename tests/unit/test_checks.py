"""What training refuses to start from."""

import pytest

from pipeline.training.checks import check_backbone


def test_backbone_weights_are_a_file_or_a_url(tmp_path):
    (tmp_path / "backbone.pth").touch()
    for sound in (None, str(tmp_path / "backbone.pth"), "torchvision://resnet50"):
        check_backbone(sound)
    with pytest.raises(ValueError, match=r"detector\.weights is 'missing\.pth', which is no file"):
        check_backbone("missing.pth")
