"""TIFF and GIF files, as microscopes, scanners and the web write them: plain timm's answer, or an error of one line."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from brightspark.core.errors import InputError
from brightspark.vision import ImageClassifierModel, images
from tests.vision.pictures import picture
from tests.vision.test_hostile import Case, check, encoded

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

GREY = np.random.default_rng(1).integers(0, 256, (40, 48), dtype=np.uint8)


def tiff(tags: Mapping[int, int], data: bytes, *, order: str = "<") -> bytes:
    """A TIFF of one page and one strip or tile, by hand: 32-bit tags in rising order, then the pixels.

    `tags` whose value is -1 get the place of the pixels, -2 their number of bytes.
    """
    start = 8 + 2 + 12 * len(tags) + 4
    placed = {tag: {-1: start, -2: len(data)}.get(value, value) for tag, value in tags.items()}
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in sorted(placed.items()))
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    return head + struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", 0) + data


def grey_tags(width: int, height: int, bits: int, **more: int) -> dict[int, int]:
    names = {"sample_format": 339, "photometric": 262}
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: -1, 277: 1, 278: height, 279: -2}
    return tags | {names[name]: value for name, value in more.items()}


def tiled() -> tuple[bytes, Image.Image]:
    """One tile of 64 × 48 pixels, of which 48 × 40 are the picture."""
    tile = np.zeros((48, 64), np.uint8)
    tile[:40, :48] = GREY
    tags = {256: 48, 257: 40, 258: 8, 259: 1, 262: 1, 277: 1, 322: 64, 323: 48, 324: -1, 325: -2}
    return tiff(tags, tile.tobytes()), Image.fromarray(GREY)


def good() -> dict[str, Case]:
    whole, other = picture(1), picture(2)
    cmyk, palette = picture(3, mode="CMYK"), picture(4, mode="P")
    jpeg = encoded(whole, "TIFF", compression="jpeg", quality=95)
    gif = encoded(palette, "GIF")
    wide = (GREY.astype(np.uint16) * 257)[:, :, None] * np.ones(1, np.uint16)
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned to the right
    return {
        "plain": Case(encoded(whole, "TIFF"), whole),
        "lzw": Case(encoded(whole, "TIFF", compression="tiff_lzw"), whole),
        "deflate": Case(encoded(whole, "TIFF", compression="tiff_adobe_deflate"), whole),
        "packbits": Case(encoded(whole, "TIFF", compression="packbits"), whole),
        "fax": Case(encoded(whole.convert("1"), "TIFF", compression="group4"), whole.convert("1").convert("RGB")),
        "jpeg": Case(jpeg, Image.open(io.BytesIO(jpeg)).convert("RGB")),
        "pages": Case(encoded(whole, "TIFF", save_all=True, append_images=[other]), whole),
        "16 bits": Case(encoded(Image.fromarray(wide[:, :, 0]), "TIFF"), Image.fromarray(GREY)),
        "16 bits, big-endian": Case(
            tiff(grey_tags(48, 40, 16), wide.astype(">u2").tobytes(), order=">"), Image.fromarray(GREY)
        ),
        "white is zero": Case(tiff(grey_tags(48, 40, 8, photometric=0), GREY.tobytes()), Image.fromarray(255 - GREY)),
        "tiled": Case(*tiled()),
        "cmyk": Case(encoded(cmyk, "TIFF"), cmyk.convert("RGB")),
        "transparent": Case(encoded(picture(5, mode="RGBA"), "TIFF"), picture(5, mode="RGBA").convert("RGB")),
        "turned": Case(encoded(whole.rotate(90, expand=True), "TIFF", exif=turned), whole),
        "gif": Case(gif, Image.open(io.BytesIO(gif)).convert("RGB")),
        "clear colour": Case(encoded(palette, "GIF", transparency=3), Image.open(io.BytesIO(gif)).convert("RGB")),
        "animated": Case(encoded(palette, "GIF", save_all=True, append_images=[picture(6, mode="P")]),
                         Image.open(io.BytesIO(gif)).convert("RGB")),
    }  # fmt: skip


def bad() -> dict[str, Case]:
    whole = encoded(picture(1), "TIFF", compression="tiff_adobe_deflate")
    gif = encoded(picture(1, mode="P"), "GIF")
    floats = Image.fromarray(np.random.default_rng(0).normal(size=(40, 48)).astype(np.float32))
    return {
        "floats": Case(encoded(floats, "TIFF"), "InputError: .*floating-point numbers.*convert it to 8 or 16 bits"),
        "32 bits": Case(tiff(grey_tags(48, 40, 32), bytes(48 * 40 * 4)), "InputError: .*(32-bit|no image that can be)"),
        "signed": Case(
            tiff(grey_tags(48, 40, 16, sample_format=2), bytes(48 * 40 * 2)), "InputError: .*signed numbers"
        ),
        "huge": Case(tiff(grey_tags(30_000, 30_000, 8), b"\0" * 100), "900000000 pixels"),
        "huge gif": Case(b"GIF89a" + struct.pack("<HH", 60_000, 60_000) + gif[10:], "3600000000 pixels|60000×60000"),
        "short strip": Case(tiff(grey_tags(48, 40, 8), GREY.tobytes()[:500]), "OSError: .*truncated"),
        "cut in half": Case(whole[: len(whole) // 2], "no image that can be read|OSError|SyntaxError|TypeError"),
        "cut at the end": Case(whole[:-8], "no image that can be read|OSError|SyntaxError|TypeError|KeyError"),
        "header only": Case(whole[:8], "no image that can be read|OSError|SyntaxError"),
        "cut gif": Case(gif[: len(gif) // 2], "OSError: .*truncated"),
        "gif's header only": Case(gif[:13], "OSError|EOFError|no image that can be read"),
        "endless pages": Case(_endless(), "OSError|InputError"),
    }


def _endless() -> bytes:
    """The next page is this one, and its pixels are not there."""
    content = bytearray(tiff(grey_tags(48, 40, 8), b""))
    content[-4:] = struct.pack("<I", 8)
    return bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize("column", ["path", "content"])
def test_every_row_comes_back(column: str, spark: SparkSession, network: Path, tmp_path: Path) -> None:
    """All of them in one job; what a file is, its bytes say and not its name."""
    cases = {**good(), **bad()}
    rows: list[tuple[str, Any]] = []
    for name, case in cases.items():
        assert isinstance(case.source, bytes)
        (tmp_path / f"{name}.png").write_bytes(case.source)
        rows.append((name, str(tmp_path / f"{name}.png") if column == "path" else bytearray(case.source)))
    frame = spark.createDataFrame(rows, f"name string, {column} {'string' if column == 'path' else 'binary'}").coalesce(
        1
    )
    scored = ImageClassifierModel.pretrained(str(network), precision="float32").transform(frame).collect()
    check(network, {row["name"]: row for row in scored}, cases)


@pytest.mark.parametrize("name", ["16 bits", "16 bits, big-endian", "white is zero", "tiled"])
def test_grey_values_are_what_they_were(name: str) -> None:
    case = good()[name]
    assert isinstance(case.source, bytes)
    assert isinstance(case.wanted, Image.Image)
    shown = images.open_still(io.BytesIO(case.source)).decode("L")
    np.testing.assert_array_equal(np.asarray(shown), np.asarray(case.wanted))


@pytest.mark.parametrize("name", ["floats", "signed"])
def test_measurements_are_no_brightness(name: str) -> None:
    """A heat map, an elevation: scaled anyhow, the network would see something that nobody has chosen."""
    content = bad()[name].source
    assert isinstance(content, bytes)
    with pytest.raises(InputError, match="nothing says which of them is black"):
        images.open_still(io.BytesIO(content))
