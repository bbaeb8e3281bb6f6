"""`brightspark speech`, as it is typed: recordings to transcripts to a report, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import soundfile

from tests.speech.checkpoints import RATE, save_whisper, sound

pytestmark = pytest.mark.slow


def brightspark(*arguments: Any) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "brightspark", "speech", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_from_recordings_to_a_report(tmp_path: Path) -> None:
    whisper = save_whisper(tmp_path / "whisper")
    calls = tmp_path / "calls"
    calls.mkdir()
    lines = ["path,text,speaker"]
    for number in range(6):
        soundfile.write(calls / f"{number}.wav", sound(number, 0.5), RATE)
        lines.append(f"{number}.wav,something was said,{'ab'[number % 2]}")
    (calls / "torn.wav").write_bytes((calls / "0.wav").read_bytes()[:3_000])
    (tmp_path / "said.csv").write_text("\n".join(lines))
    code, out, error = brightspark(
        "score", whisper, calls, "--manifest", tmp_path / "said.csv", "--out", tmp_path / "transcripts", "--json"
    )
    assert code == 0, error
    told = json.loads(out.splitlines()[-1])
    assert (told["records"], told["errors"]) == (7, 1)
    rows = {Path(row["path"]).name: row for row in pq.read_table(tmp_path / "transcripts").to_pylist()}
    assert rows["torn.wav"]["text"] is None
    assert "cut" in rows["torn.wav"]["error"]
    assert all(rows[f"{number}.wav"]["duration"] == 0.5 for number in range(6))
    code, out, error = brightspark("evaluate", tmp_path / "transcripts", "--by", "speaker", "--json")
    assert code == 0, error
    report = json.loads(out.splitlines()[-1])
    assert report["overall"]["words"] == 18
    assert set(report["by"]["speaker"]) == {"a", "b"}
    code, _, error = brightspark("score", whisper, calls, "--out", tmp_path / "others", "--language", "de")
    assert code == 2
    assert "multilingual" in error
