"""Whatever a table names or holds: every row comes back with plain timm's answer, or with an error of one line."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from brightspark.vision import ImageClassifierModel
from tests.vision.networks import LABELS, plain_timm
from tests.vision.pictures import picture

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[2]
NOBODY = 65534  # the user that owns nothing


@dataclass(frozen=True)
class Case:
    """What a row holds: a path or bytes; and the picture that is in it, or words of its error."""

    source: str | bytes | None
    wanted: Image.Image | str


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(content: bytes) -> Image.Image:
    with Image.open(io.BytesIO(content)) as image:
        return image.convert("RGB")


def one_bit_png(width: int, height: int) -> bytes:
    """A black PNG of any size, its rows compressed as they are made."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    rows = 4096
    row = bytes(1 + (width + 7) // 8)
    packed = [packer.compress(row * min(rows, height - start)) for start in range(0, height, rows)]
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = b"".join(packed) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def quarter_turned(upright: Image.Image) -> tuple[bytes, Image.Image]:
    """A JPEG that is stored lying, and how it looks upright."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right
    content = encoded(upright.rotate(90, expand=True), "JPEG", exif=exif)
    return content, decoded(content).rotate(-90, expand=True)


def damaged() -> dict[str, Case]:
    whole = encoded(picture(1, (200, 150)), "JPEG")
    return {
        "truncated": Case(whole[: len(whole) // 2], "OSError: .*truncated"),
        "header only": Case(whole[:30], "no image that can be read|OSError|SyntaxError"),
        "zero bytes": Case(b"", "it has 0 bytes"),
        "text": Case(b"this is no photograph\nat all", "starts with b'this is no"),
        "bomb": Case(one_bit_png(30_000, 30_000), "900000000 pixels"),
        "thread": Case(one_bit_png(1, 9_000_000), "1×9000000 pixels: scaled to the model's size"),
        "truncated png": Case(encoded(picture(2), "PNG")[:400], "OSError|SyntaxError"),
        "random bytes": Case(np.random.default_rng(0).bytes(5000), "no image that can be read"),
        "pdf": Case(encoded(picture(3), "PDF"), "starts with b'%PDF"),
        "eps": Case(encoded(picture(3), "EPS"), "starts with b'%!PS"),
        "svg": Case(b'<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>', "starts with b'<svg"),
        "null": Case(None, "value is null"),
    }


def unusual() -> dict[str, Case]:
    """Files that few programs write, and that show a picture all the same."""
    whole = encoded(picture(10), "JPEG")
    cmyk = encoded(picture(11, mode="CMYK"), "JPEG")
    grey = np.random.default_rng(12).integers(0, 256, (40, 48), dtype=np.uint8)
    palette = picture(13, mode="P")
    frames = [picture(seed) for seed in (14, 15, 16)]
    animated = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    phone = encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])
    turned, upright = quarter_turned(picture(17, (60, 36)))
    garbled = encoded(picture(18), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(range(40)))
    return {
        "plain": Case(whole, decoded(whole)),
        "cmyk": Case(cmyk, decoded(cmyk)),
        "16 bits": Case(encoded(Image.fromarray(grey.astype(np.uint16) * 257), "PNG"), Image.fromarray(grey)),
        "palette": Case(encoded(palette, "PNG", transparency=bytes(range(64))), palette.convert("RGB")),
        "one clear colour": Case(encoded(palette, "PNG", transparency=3), palette.convert("RGB")),
        "animated": Case(animated, frames[0]),
        "two in one": Case(phone, decoded(phone)),
        "turned": Case(turned, upright),
        "garbled exif": Case(garbled, decoded(encoded(picture(18), "JPEG"))),
        "one pixel": Case(encoded(picture(19, (1, 1)), "PNG"), picture(19, (1, 1))),
        "strip": Case(encoded(picture(20, (8, 9000)), "PNG"), picture(20, (8, 9000))),
        "transparent": Case(encoded(picture(21, mode="RGBA"), "PNG"), picture(21, mode="RGBA").convert("RGB")),
    }


@pytest.fixture(scope="module")
def contents() -> dict[str, Case]:
    return {**damaged(), **unusual()}


@pytest.fixture(scope="module")
def paths(contents: dict[str, Case], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Case]]:
    """The same as files whose names end in .jpg, and paths that lead to no file at all."""
    folder = tmp_path_factory.mktemp("hostile")
    cases = {}
    for name, case in contents.items():
        if case.source is None:
            cases[name] = case
            continue
        (folder / f"{name}.jpg").write_bytes(case.source)
        cases[name] = Case(str(folder / f"{name}.jpg"), case.wanted)
    os.mkfifo(folder / "pipe.jpg")
    whole = str(cases["plain"].source)
    yield cases | {
        "vanished": Case(f"{folder}/vanished\nat night.jpg", "there is no file"),
        "empty path": Case("", "there is no file"),
        "folder": Case(str(folder), "is a folder or a device"),
        "pipe": Case(f"{folder}/pipe.jpg", "is a folder or a device"),
        "device": Case("/dev/zero", "is a folder or a device"),
        "below a file": Case(f"{whole}/a.jpg", "no file|cannot open"),
        "long name": Case(f"{folder}/{'a' * 300}.jpg", "cannot open"),
        "http": Case("http://127.0.0.1:9/a.jpg", "'http' .* is not allowed"),
        "memory": Case("memory://a.jpg", "'memory' .* is not allowed"),
        "chained": Case(f"simplecache::file://{whole}", "not allowed"),
        "data": Case("data:image/png;base64,AAAA", "'data' .* is not allowed"),
        "with scheme": Case(f"file://{whole}", contents["plain"].wanted),
    }
    (folder / "pipe.jpg").unlink()


def check(network: Path, rows: Mapping[str, Any], cases: dict[str, Case]) -> None:
    """Every case has what it is to have."""
    assert set(rows) == set(cases)
    for name, case in cases.items():
        if isinstance(case.wanted, str):
            error = rows[name]["error"] or "an answer"
            assert re.search(case.wanted, error), f"{name}: {error}"
            assert "\n" not in error, name
            assert rows[name]["prediction"] is None, name
            assert rows[name]["probability"] is None, name
    good = {name: case.wanted for name, case in cases.items() if isinstance(case.wanted, Image.Image)}
    assert {name: rows[name]["error"] for name in good} == dict.fromkeys(good)
    wanted = plain_timm(network, list(good.values()))
    for name, probabilities in zip(good, wanted, strict=True):
        np.testing.assert_allclose(rows[name]["probability"], probabilities, atol=1e-4, err_msg=name)
        assert rows[name]["prediction"] == LABELS[int(probabilities.argmax())], name


@pytest.mark.slow
@pytest.mark.parametrize("column", ["path", "content"])
def test_every_row_comes_back(
    column: str, spark: SparkSession, network: Path, paths: dict[str, Case], contents: dict[str, Case]
) -> None:
    """All of them in one job, good ones and bad ones in the same batches."""
    cases = paths if column == "path" else contents
    kind = "string" if column == "path" else "binary"
    table = [(name, case.source, number) for number, (name, case) in enumerate(cases.items())]
    frame = spark.createDataFrame(table, f"name string, {column} {kind}, number int").coalesce(1)
    scored = ImageClassifierModel.pretrained(str(network), precision="float32").transform(frame)
    assert scored.columns == ["name", column, "number", "prediction", "probability", "error"]
    rows = scored.collect()
    assert [tuple(row[:3]) for row in rows] == table
    check(network, {row["name"]: row for row in rows}, cases)


def test_a_file_without_permission(network: Path, tmp_path: Path) -> None:
    """Tried as a user who owns nothing: root may read everything."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can become another user, by setpriv")
    for name in ("open", "secret"):
        picture(1).save(tmp_path / f"{name}.jpg")
    (tmp_path / "secret.jpg").chmod(0o600)
    shutil.copytree(network, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").chmod(0o644)  # safetensors writes for its owner only
    (tmp_path / "cache").mkdir()
    os.chown(tmp_path / "cache", NOBODY, NOBODY)
    for parent in (tmp_path, *tmp_path.parents):  # pytest keeps its folders to itself
        if parent.is_relative_to(tempfile.gettempdir()) and parent != Path(tempfile.gettempdir()):
            parent.chmod(0o755)
    program = """
import json, sys
from brightspark.vision import ImageClassifierModel
scorer = ImageClassifierModel.pretrained(sys.argv[1]).scorer()
(outcomes,) = scorer.score([[{"path": path} for path in sys.argv[2:]]])
print(json.dumps([[outcome.answer is not None, outcome.error] for outcome in outcomes]))
"""
    files = [str(tmp_path / f"{name}.jpg") for name in ("open", "secret", "open")]
    done = subprocess.run(
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", sys.executable, "-c", program,
         str(tmp_path / "model"), *files],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "BRIGHTSPARK_CACHE": str(tmp_path / "cache"), "HOME": "/nonexistent"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    first, secret, last = json.loads(done.stdout.splitlines()[-1])
    assert first == last == [True, None]
    assert secret == [False, f"StorageError: no permission to read {files[1]}"]
