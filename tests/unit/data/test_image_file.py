"""One reader: what `prepare` checks of a file is what training sees, whatever its kind."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipeline.data.image_file import read_header, read_image

HEIGHT, WIDTH = 24, 40
BLOCKS = np.random.default_rng(0).integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
PIXELS = BLOCKS.repeat(8, 0).repeat(8, 1)
LOSSLESS = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}
ORIENTATION = 0x0112


def encoded(image, kind, orientation=1):
    exif, out = Image.Exif(), io.BytesIO()
    exif[ORIENTATION] = orientation
    image.save(out, kind, exif=exif.tobytes(), **LOSSLESS.get(kind, {}))
    return out.getvalue()


def as_a_viewer_shows(content):
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    return np.asarray(turned.convert("RGB"))[..., ::-1]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "BMP", "GIF", "PPM"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_rotation_of_every_format_is_applied_once(kind, orientation):
    content = encoded(Image.fromarray(PIXELS), kind, orientation)
    expected = as_a_viewer_shows(content)
    assert read_header(io.BytesIO(content)).size == expected.shape[1::-1]
    np.testing.assert_array_equal(read_image(content), expected)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_modes_become_three_channels_without_transparency(mode):
    content = encoded(Image.fromarray(PIXELS).convert(mode), "PNG")
    np.testing.assert_array_equal(read_image(content), as_a_viewer_shows(content))


def test_cmyk_is_read_up_to_rounding():
    content = encoded(Image.fromarray(PIXELS).convert("CMYK"), "JPEG")
    np.testing.assert_allclose(read_image(content), as_a_viewer_shows(content), atol=1)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_of_sixteen_bits_the_upper_eight_are_read(kind):
    values = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 68
    content = encoded(Image.fromarray(values), kind)
    assert read_header(io.BytesIO(content)).sixteen_bit
    np.testing.assert_allclose(read_image(content)[..., 0], values / 256, atol=1)


def test_a_width_of_sixteen_is_no_depth():
    image = Image.new("RGB", (1600, 16))
    for kind in ("BMP", "PPM", "TIFF"):
        assert not read_header(io.BytesIO(encoded(image, kind))).sixteen_bit


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (Image.new("F", (WIDTH, HEIGHT), 0.5), "TIFF"),
        (Image.new("I", (WIDTH, HEIGHT), 70000), "TIFF"),
        (Image.new("RGB", (WIDTH, HEIGHT)), "TGA"),
        (Image.new("RGB", (WIDTH, HEIGHT)), "PCX"),
    ],
)
def test_what_cannot_be_decoded_says_what_to_do(image, kind):
    with pytest.raises(ValueError, match=f"is a {kind} image .* cannot be decoded; save it as"):
        read_image(encoded(image, kind))


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_no_image_at_all(content):
    with pytest.raises(ValueError, match="is not a readable image"):
        read_image(content)


def test_broken_exif_turns_nothing():
    content = encoded(Image.fromarray(PIXELS), "JPEG", 6)
    start = content.index(b"Exif\0\0")
    broken = content[: start + 6] + b"\xff" * 8 + content[start + 14 :]
    assert read_image(broken).shape == PIXELS.shape


def test_a_rotation_that_only_the_xmp_has_is_none():
    out = io.BytesIO()
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><tiff:Orientation>6</tiff:Orientation></x:xmpmeta>'
    Image.fromarray(PIXELS).save(out, "JPEG", xmp=xmp)
    assert read_header(io.BytesIO(out.getvalue())).size == (WIDTH, HEIGHT)
    assert read_image(out.getvalue()).shape == PIXELS.shape
