"""Weights by URL or by a model's name, from a real server on this machine."""

import functools
import http.server
import socket
import threading

import pytest
import torch
from mmdet.registry import MODELS

from pipeline.training.backbone import check_backbone
from pipeline.weights.fetch import cache_folder, local_file, resolve

KEY = "detector.weights"
RESNET = dict(type="mmdet.ResNet", depth=18)


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of a folder; under /short the connection ends early, under /page there is HTML."""

    requests = ()

    def do_GET(self):
        self.requests.append(self.path)
        if self.path.startswith("/page"):
            return self.answer(b"<html>virus scan warning</html>", "text/html")
        if self.path.startswith("/short"):
            return self.answer(b"half a file", "application/octet-stream", length=1000)
        return super().do_GET()

    def answer(self, content, kind, length=None):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length or len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "*")
    return cache_folder()


@pytest.fixture
def server(tmp_path, cache):
    """A server of tmp_path/served; ``requests`` lists what it was asked for."""
    (tmp_path / "served").mkdir()
    handler = type("Recording", (Handler,), {"requests": []})
    bound = functools.partial(handler, directory=tmp_path / "served")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), bound) as running:
        running.requests = handler.requests
        running.url = f"http://127.0.0.1:{running.server_port}"
        running.folder = tmp_path / "served"
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def test_torch_keeps_its_downloads_in_the_same_folder(cache):
    assert str(cache) == f"{torch.hub.get_dir()}/checkpoints"


def test_a_backbone_comes_from_a_url_once(server):
    torch.save(MODELS.build(RESNET).state_dict(), server.folder / "resnet.pth")
    for _ in range(2):
        state = check_backbone(f"{server.url}/resnet.pth", RESNET)
        assert torch.equal(
            state["conv1.weight"], torch.load(server.folder / "resnet.pth")["conv1.weight"]
        )
    assert server.requests == ["/resnet.pth"]


def test_two_urls_of_one_file_name_are_two_files(server):
    for folder in ("a", "b"):
        (server.folder / folder).mkdir()
        (server.folder / folder / "model.pth").write_text(folder)
    paths = [local_file(f"{server.url}/{folder}/model.pth", KEY) for folder in ("a", "b")]
    assert [path.read_text() for path in paths] == ["a", "b"]


def test_processes_that_want_one_file_fetch_it_once(server):
    (server.folder / "large.pth").write_bytes(bytes(20_000_000))
    threads = [
        threading.Thread(target=local_file, args=(f"{server.url}/large.pth", KEY)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.requests == ["/large.pth"]
    assert local_file(f"{server.url}/large.pth", KEY).stat().st_size == 20_000_000


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("/missing.pth", "answered with 404 File not found"),
        ("/short.pth", r"fetched: (only 11 of 1000 bytes came|IncompleteRead)"),
        ("/page.pth", "it is a web page"),
        ("/wrong-0123456789ab.pth", "not the digest that its name states"),
    ],
)
def test_a_failed_download_is_one_line_and_leaves_nothing_that_counts(server, place, words):
    (server.folder / "wrong-0123456789ab.pth").write_text("other bytes")
    for _ in range(2):
        with pytest.raises(ValueError, match=words) as caught:
            local_file(server.url + place, KEY)
        assert "\n" not in str(caught.value)
        assert "give the path of the file" in str(caught.value)
    assert len(server.requests) == 2
    assert not list(cache_folder().glob("*.pth"))


def test_the_rest_of_a_killed_download_is_in_nobodys_way(server):
    (server.folder / "whole.pth").write_text("whole")
    path = local_file(f"{server.url}/whole.pth", KEY)
    path.unlink()
    path.with_name(f".{path.name}.part").write_text("the first half, longer than the file")
    assert local_file(f"{server.url}/whole.pth", KEY).read_text() == "whole"


def test_no_server_is_one_line(cache):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x.pth"
    with pytest.raises(ValueError, match=r"Connection refused.*give the path") as caught:
        local_file(url, KEY)
    assert "\n" not in str(caught.value)


def test_imagenet_weights_by_name_need_no_torchvision(cache):
    name = resolve("torchvision://resnet18", KEY).rsplit("/", 1)[1]
    cache.mkdir(parents=True)
    torch.save(MODELS.build(RESNET).state_dict(), cache / name)  # as if downloaded before
    assert len(check_backbone("torchvision://resnet18", RESNET)) > 100


def test_a_name_that_only_torchvision_knows(cache):
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        pass
    else:
        pytest.skip("torchvision is installed")
    with pytest.raises(ValueError, match=r"pip install torchvision.*resnet50") as caught:
        resolve("torchvision://convnext_tiny.imagenet1k_v1", KEY)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("open-mmlab://detectron2/resnet50_cafe", "unknown model .*detectron2/resnet50_caffe"),
        ("s3://bucket/x.pth", "allowed: a path, http://"),
        ("nowhere.pth", r"detector\.weights is 'nowhere\.pth', which is no file"),
    ],
)
def test_a_name_of_nothing_is_one_line(cache, weights, words):
    with pytest.raises(ValueError, match=words):
        local_file(weights, KEY)
