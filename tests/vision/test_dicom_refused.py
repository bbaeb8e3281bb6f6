"""What a DICOM file is refused for, before anything is decoded, and what reading one may take."""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from brightspark.core.errors import InputError, StorageError
from brightspark.vision import dicom, dicom_deflate, dicom_header
from tests.vision.dicom_reading import MAX_PIXELS, RAMP, Counting, grey
from tests.vision.dicom_writing import compressed, dicom_bytes, dicom_set, shipped, table
from tests.vision.pictures import picture

# pydicom's words about odd files are for whoever reads one by hand; pytest sets its own filters over ours.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


class TestRefused:
    """What can be known before anything is decoded is one clear line, an InputError."""

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("rtplan.dcm", "no picture: it has no pixels; it is 'RT Plan Storage'"),
            ("reportsi.dcm", "no picture: it has no pixels; it is 'Basic Text SR Storage'"),
            ("waveform_ecg.dcm", "no picture: it has no pixels; it is '12-lead ECG Waveform Storage'"),
            ("DICOMDIR", "no picture: it has no pixels; it is 'Media Storage Directory Storage'"),
            ("MR_truncated.dcm", "cut short or the header is wrong: 8,130 bytes, where 8,192 are needed"),
            ("JPGExtended.dcm", "12-bit.*pip install pylibjpeg-libjpeg"),
            ("badVR.dcm", "NumberOfFrames is '1A'; it must be a number"),
        ],
    )
    def test_files(self, name: str, reason: str) -> None:
        with pytest.raises(InputError, match=reason):
            grey(shipped(name))

    @pytest.mark.parametrize(
        ("elements", "reason"),
        [
            ({"Rows": None}, "Rows is None"),
            ({"Rows": 0}, "Rows is 0"),
            ({"Rows": 30_000, "Columns": 30_000}, "30000×30000 pixels, more than"),
            ({"Rows": 65}, "cut short or the header is wrong: 8,192 bytes, where 8,320 are needed"),
            ({"NumberOfFrames": 2}, None),
            ({"NumberOfFrames": -1}, "NumberOfFrames is '?-1"),
            ({"PhotometricInterpretation": "HSV"}, "HSV"),
            ({"PhotometricInterpretation": "PALETTE COLOR"}, "no palette"),
            ({"BitsAllocated": None}, "BitsAllocated is None"),
            ({"SamplesPerPixel": 4}, "cut short"),
        ],
    )
    def test_headers(self, elements: dict[str, Any], reason: str | None) -> None:
        content = dicom_bytes(dicom_set(RAMP, **elements))
        if reason is None:
            grey(content)
        else:
            with pytest.raises(InputError, match=reason):
                grey(content)

    def test_no_rows_at_all(self) -> None:
        made = dicom_set(RAMP)
        del made.Rows
        with pytest.raises(InputError, match="no picture: it has no Rows and Columns; it is 'Secondary Capture"):
            grey(dicom_bytes(made))

    def test_a_private_transfer_syntax(self) -> None:
        content = compressed(dicom_set(RAMP), "1.2.840.113619.5.2", [b"who knows"])  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"no decoder reads .*1\.2\.840\.113619\.5\.2 \(unknown or private\)"):
            grey(content)

    def test_a_video(self) -> None:
        content = compressed(dicom_set(RAMP), "1.2.840.10008.1.2.4.102", [b"mp4"])  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"no decoder reads .*MPEG-4"):
            grey(content)

    def test_a_small_header_over_a_huge_codestream(self) -> None:
        buffer = io.BytesIO()
        Image.new("L", (9000, 9000)).save(buffer, "JPEG")
        with pytest.raises(InputError, match=r"header says 64×64 pixels, the compressed picture itself 9000×9000"):
            grey(compressed(dicom_set(RAMP.astype(np.uint8)), JPEGBaseline8Bit, [buffer.getvalue()]))

    @pytest.mark.parametrize("stored", [(48, 32), (64, 24)])
    def test_a_codestream_of_another_shape(self, stored: tuple[int, int]) -> None:
        """As many pixels, but in other rows: shown as the header says, the picture would be sheared."""
        for syntax, kind in ((JPEGBaseline8Bit, "JPEG"), (JPEG2000Lossless, "JPEG2000")):
            buffer = io.BytesIO()
            picture(1, stored, "L").save(buffer, kind)
            made = dicom_set(np.zeros((48, 32), np.uint8))
            with pytest.raises(InputError, match=rf"header says 32×48 pixels, .* itself {stored[0]}×{stored[1]}"):
                grey(compressed(made, syntax, [buffer.getvalue()]))

    @pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEG2000Lossless, JPEGLSLossless])
    def test_a_codestream_without_a_size(self, syntax: Any) -> None:
        frame = b"\xff\xd8\0\0" + bytes(200) + b"\xff\xd9"
        with pytest.raises(InputError, match="names no size of its own"):
            grey(compressed(dicom_set(RAMP.astype(np.uint8)), syntax, [frame]))

    def test_a_size_behind_a_long_header(self) -> None:
        """A JP2 file may hold boxes of any length before its codestream."""
        buffer = io.BytesIO()
        Image.new("L", (640, 640)).save(buffer, "JPEG2000")
        content = buffer.getvalue()
        at = content.index(b"jp2c") - 4
        box = (8 + 5_000).to_bytes(4) + b"free" + bytes(5_000)
        with pytest.raises(InputError, match="itself 640×640"):
            grey(compressed(dicom_set(RAMP.astype(np.uint8)), JPEG2000Lossless, [content[:at] + box + content[at:]]))

    def test_a_deflated_bomb(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dicom_deflate, "MAX_INFLATED_BYTES", 1_000_000)
        whole = dicom_bytes(dicom_set(np.zeros((1000, 1000), np.uint16)), DeflatedExplicitVRLittleEndian)
        assert len(whole) < 10_000
        with pytest.raises(InputError, match="more than the 1,000,000 bytes"):
            grey(whole)

    def test_a_header_that_wants_too_much(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its elements are read as long as they say that they are; nothing of the pixels counts."""
        monkeypatch.setattr(dicom_header, "MAX_HEADER_BYTES", 5_000)
        grey(dicom_bytes(dicom_set(RAMP)))
        with pytest.raises(InputError, match=r"wants 8,\d{3} bytes at once, where [\d,]+ are allowed"):
            grey(dicom_bytes(dicom_set(RAMP, VOILUTSequence=[table(range(4096), 0, 12)])))

    def test_storage_that_fails_is_no_damage(self) -> None:
        """In the header or at the pixels, and whatever the client library raises."""

        class ClientError(Exception):  # no OSError
            pass

        class Failing(Counting):
            limit = 300

            def read(self, size: int | None = -1, /) -> bytes:
                if self.count > self.limit:
                    raise ClientError("the network is gone")
                return super().read(size)

        content = dicom_bytes(dicom_set(RAMP))
        with pytest.raises(StorageError, match="failed in mid-file: ClientError: the network is gone"):
            dicom.open_frame(Failing(content), max_pixels=MAX_PIXELS)
        file = Failing(content)
        file.limit = 1_000_000
        opened = dicom.open_frame(file, max_pixels=MAX_PIXELS)
        file.limit = 0
        with pytest.raises(StorageError, match="failed in mid-file: ClientError: the network is gone"):
            opened.decode("L")

    def test_damaged_deflate(self) -> None:
        whole = dicom_bytes(dicom_set(RAMP), DeflatedExplicitVRLittleEndian)
        at = whole.index(b"1.2.840.10008.1.2.1.99") + 200
        with pytest.raises(InputError, match=r"file is damaged|no picture|ends before|cut short"):
            grey(whole[:at] + b"\xff" * 50 + whole[at + 50 :])


def test_a_deflated_header_is_inflated_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads facts of thousands of files needs no pixels."""
    frames = np.random.default_rng(0).integers(0, 4096, (10, 300, 300), dtype=np.uint16)
    whole = dicom_bytes(dicom_set(frames, frames=10), DeflatedExplicitVRLittleEndian)
    assert len(whole) > 1_000_000
    monkeypatch.setattr(dicom_deflate, "MAX_INFLATED_BYTES", 200_000)
    file = Counting(whole)
    assert dicom_header.read_header(file, dicom_header.FRAME_TAGS).frames == 10
    assert file.count < 100_000


class TestMemory:
    """What decoding takes is bounded by what the picture says beforehand."""

    @pytest.mark.parametrize("kind", ["grey", "grey compressed", "32 bits", "colour", "ybr", "palette"])
    def test_pixel_bytes(self, kind: str) -> None:
        side = 1000
        grey16 = np.random.default_rng(0).integers(0, 4096, (side, side), dtype=np.uint16)
        colour = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
        if kind.startswith("grey"):
            made = dicom_set(grey16)
            if kind == "grey compressed":
                made.compress(RLELossless)
        elif kind == "32 bits":
            made = dicom_set(grey16.astype(np.uint32), WindowCenter=2000, WindowWidth=1000)
        elif kind == "palette":
            made = dicom_set(grey16 & 255, photometric="PALETTE COLOR")
            for name in ("Red", "Green", "Blue"):
                setattr(made, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 8])
                setattr(made, f"{name}PaletteColorLookupTableData", bytes(range(256)))
        else:
            made = dicom_set(colour, photometric="YBR_FULL" if kind == "ybr" else "RGB")
        file = io.BytesIO(dicom_bytes(made))
        dicom.open_frame(file, max_pixels=MAX_PIXELS).decode("RGB")  # libraries are loaded
        opened = dicom.open_frame(file, max_pixels=MAX_PIXELS)
        tracemalloc.start()
        opened.decode("RGB")
        peak = tracemalloc.get_traced_memory()[1] / side**2 + 4  # Pillow's own memory: 4 bytes a pixel of RGB
        tracemalloc.stop()
        assert peak <= opened.pixel_bytes + 1
        assert opened.pixel_bytes < 4 * peak


def test_nothing_is_said_to_the_log(tmp_path: Path) -> None:
    """In a worker, where pytest's filters are not: not by pydicom, and not by the decoders underneath."""
    names = ("badVR.dcm", "MR_truncated.dcm", "JPEG2000-embedded-sequence-delimiter.dcm", "UN_sequence.dcm",
             "emri_small_jpeg_2k_lossless_too_short.dcm", "MR_small_padded.dcm", "SC_rgb_jpeg_dcmtk.dcm")  # fmt: skip
    damaged = bytearray(shipped("MR_small_jp2klossless.dcm"))
    damaged[-2000:] = bytes(2000)
    (tmp_path / "damaged.dcm").write_bytes(damaged)
    program = """
import logging, sys
logging.basicConfig()  # as some clusters do
from brightspark.vision import dicom
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        try:
            dicom.open_frame(file, max_pixels=1_000_000).decode("RGB")
        except Exception:
            pass
"""
    paths = [get_testdata_file(name, download=False) for name in names if get_testdata_file(name, download=False)]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, paths), str(tmp_path / "damaged.dcm")],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2], timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
