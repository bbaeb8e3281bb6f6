"""`brightspark nlp`, as it is typed: fit, score, evaluate, embed, translate, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.nlp.checkpoints import text
from tests.nlp.translators import save_translator

pytestmark = pytest.mark.slow


def brightspark(*arguments: Any) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "brightspark", "nlp", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_from_texts_to_a_report(encoder: Path, tmp_path: Path) -> None:
    said = [{"text": text(label, seed), "label": label} for label in ("glad", "grim") for seed in range(60)]
    said.append({"text": None, "label": "glad"})
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, said)))
    fit = ["fit", tmp_path / "texts.jsonl", "--model", encoder, "--out", tmp_path / "model", "--epochs", 4,
           "--batch-size", 16, "--set", "learning_rate=3e-3", "--set", "loader_workers=0",
           "--set", "validation_share=0.2"]  # fmt: skip
    code, out, error = brightspark(*fit, "--json")
    assert code == 0, error
    assert json.loads(out.splitlines()[-1])["accuracy"] > 0.8
    assert not (tmp_path / "model.training").exists()
    code, out, error = brightspark(
        "score", tmp_path / "model", tmp_path / "texts.jsonl", "--out", tmp_path / "answers", "--json"
    )
    assert code == 0, error
    told = json.loads(out.splitlines()[-1])
    assert (told["records"], told["errors"]) == (121, 1)
    explained = ["explain", tmp_path / "model", tmp_path / "texts.jsonl", "--out", tmp_path / "why", "--json"]
    code, out, error = brightspark(*explained)
    assert code == 0, error
    told = json.loads(out.splitlines()[-1])
    assert (told["records"], told["errors"]) == (121, 1)
    code, out, error = brightspark("evaluate", tmp_path / "answers", "--json")
    assert code == 0, error
    assert json.loads(out.splitlines()[-1])["accuracy"] > 0.8


def test_vectors_and_wrong_usage(encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    for number in range(3):
        (tmp_path / "texts" / f"{number}.txt").write_text(text("glad", number))
    code, out, error = brightspark("embed", encoder, tmp_path / "texts", "--out", tmp_path / "vectors", "--json")
    assert code == 0, error
    assert json.loads(out.splitlines()[-1])["records"] == 3
    code, _, error = brightspark("score", encoder, tmp_path / "texts", "--out", tmp_path / "answers")
    assert code == 1
    assert "classifier" in error
    code, _, error = brightspark(
        "fit", tmp_path / "texts", "--model", encoder, "--out", tmp_path / "m", "--set", "epoch=1"
    )
    assert code == 2
    assert "did you mean" in error


def test_translations_and_their_scores(tmp_path: Path) -> None:
    folder = save_translator(tmp_path / "m2m100", "m2m100")
    said: list[dict[str, Any]] = [
        {"text": text("glad", seed, words=4), "target": text("grim", seed), "to": "de" if seed % 2 else "fr"}
        for seed in range(6)
    ]
    said.append({"text": None, "target": "dark", "to": "de"})
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, said)))
    command = ["translate", folder, tmp_path / "texts.jsonl", "--out", tmp_path / "answers", "--from", "en"]
    code, out, error = brightspark(*command, "--to", "de", "--beams", 1, "--cut", "too_long", "--json")
    assert code == 0, error
    told = json.loads(out.splitlines()[-1])
    assert (told["records"], told["errors"]) == (7, 1)
    cut = pq.read_table(tmp_path / "answers")["too_long"].to_pylist()
    assert cut.count(None) == 1
    assert (cut.count(True), cut.count(False)) == (told["cut"], 6 - told["cut"])
    assert 0 < told["cut"] < 6
    code, out, error = brightspark("evaluate", tmp_path / "answers", "--reference", "target", "--by", "to", "--json")
    assert code == 0, error
    told = json.loads(out.splitlines()[-1])
    assert (told["rows"], told["failed"], told["by"]["fr"]["rows"]) == (7, 1, 3)
    assert 0 <= told["overall"]["chrf"] < 100
    code, _, error = brightspark(*command, "--to", "german")
    assert code == 2
    assert "'german' is unknown" in error


def test_a_translator_is_fitted_and_a_setting_that_it_lacks_is_refused(tmp_path: Path) -> None:
    start = save_translator(tmp_path / "nllb", "nllb")
    said = [{"text": text("glad", seed), "target": text("grim", seed)} for seed in range(40)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, said)))
    fit = ["fit", tmp_path / "pairs.jsonl", "--task", "translation", "--model", start, "--from", "eng_Latn", "--epochs",
           1, "--lora-rank", 2, "--set", "training_tokens=32", "--set", "loader_workers=0", "--json"]  # fmt: skip
    code, out, error = brightspark(*fit, "--to", "deu_Latn", "--out", tmp_path / "model")
    assert code == 0, error
    assert {"bleu", "chrf", "ter", "validation_rows"} <= set(json.loads(out.splitlines()[-1]))
    code, _, error = brightspark(*fit, "--set", "label_col=x", "--out", tmp_path / "other")
    assert code == 2
    assert "no setting 'label_col'" in error
    assert json.loads((tmp_path / "model" / "brightspark.json").read_text())["training"]["learning_rate"] == 1e-3
