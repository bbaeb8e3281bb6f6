"""A text's answer from its windows, without Spark: cut, pooled, and what no network can answer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from brightspark.core.errors import ArtifactError, InputError, SettingError
from brightspark.nlp import TextClassifierModel, TextEmbedder
from brightspark.nlp.fit_settings import TextFitSettings
from brightspark.nlp.predictor import Part, pooled
from brightspark.nlp.settings import TextSettings, WindowSettings
from brightspark.nlp.start import write_start
from brightspark.nlp.tokens import Tokens, checked
from tests.nlp.checkpoints import LABELS, plain_logits, save_classifier, save_encoder, softmax, text

pytestmark = pytest.mark.usefixtures("one_thread")


def windows_of(folder: Path, said: str, overlap: int) -> list[Any]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(said, add_special_tokens=False)["input_ids"]
    content, step = 62, 62 - overlap
    starts = range(0, max(1, len(ids) - overlap), step)
    return [[tokenizer.cls_token_id, *ids[start : start + content], tokenizer.sep_token_id] for start in starts]


@pytest.mark.parametrize("pooling", ["mean", "max", "first"])
def test_a_long_text_is_the_pool_of_its_overlapping_windows(classifier: Path, pooling: str) -> None:
    said = " ".join(text(label, seed) for seed, label in enumerate(["glad"] * 5 + ["grim"] * 12))
    network = transformers.AutoModelForSequenceClassification.from_pretrained(classifier).eval()
    windows = windows_of(classifier, said, overlap=16)
    assert len(windows) > 3
    with torch.inference_mode():
        rows = np.stack([network(torch.tensor([ids])).logits[0].numpy() for ids in windows])
    lengths = [len(ids) for ids in windows]
    expected = {"mean": np.average(rows, axis=0, weights=lengths), "max": rows.max(axis=0), "first": rows[0]}[pooling]
    model = TextClassifierModel.pretrained(str(classifier), overlap=16, pooling=pooling, precision="float32")
    outcome = model.scorer().one({"text": said})
    np.testing.assert_allclose(outcome.answer["probability"], softmax(expected), atol=1e-5)


def test_temperature_and_top_k(classifier: Path) -> None:
    said = text("glad", 1)
    (logits,) = plain_logits(classifier, [said])
    model = TextClassifierModel.pretrained(str(classifier), temperature=2.0, top_k=2, precision="float32")
    answer = model.scorer().one({"text": said}).answer
    np.testing.assert_allclose(answer["probability"], softmax(logits / 2), atol=1e-5)
    assert [one["label"] for one in answer["top"]] == [LABELS[index] for index in np.argsort(-logits)[:2]]


def test_several_labels_are_what_the_checkpoint_says(tmp_path: Path) -> None:
    folder = save_classifier(tmp_path / "bert", problem_type="multi_label_classification")
    model = TextClassifierModel.pretrained(str(folder), precision="float32")
    assert model.settings.multi_label
    said = text("grim", 2)
    answer = model.scorer().one({"text": said}).answer
    expected = 1 / (1 + np.exp(-plain_logits(folder, [said])[0]))
    np.testing.assert_allclose(answer["probability"], expected, atol=1e-5)
    assert answer["prediction"] == [name for name, share in zip(LABELS, expected, strict=True) if share >= 0.5]


def test_one_text_or_many_padding_changes_nothing(classifier: Path) -> None:
    said = [text("glad", seed, words=seed) for seed in range(40)]
    scorer = TextClassifierModel.pretrained(str(classifier), precision="float32").scorer()
    [together] = scorer.score([[{"text": one} for one in said]])
    alone = [scorer.one({"text": one}) for one in said]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.answer["probability"], other.answer["probability"], atol=1e-5)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (None, "null"), ("", "empty"), (" \u2003\n", "empty"), (7, "no text, but int"), ("x" * 101, "101 characters"),
    ],
)  # fmt: skip
def test_what_is_no_text_says_so(classifier: Path, said: Any, reason: str) -> None:
    scorer = TextClassifierModel.pretrained(str(classifier), max_chars=100).scorer()
    [[good, bad]] = scorer.score([[{"text": "glad"}, {"text": said}]])
    assert good.error is None
    assert bad.answer is None
    assert reason in str(bad.error)


@pytest.mark.parametrize(
    "said",
    [
        "שלום עולם", "مرحبا", "😀😀 glad 👨\u200d👩\u200d👧", "a \ud800 lone surrogate", "bell \x07 and null \x00",
        "<b>glad</b>&amp;", "a" * 1_000_000, "glad " * 150_000,
    ],
    ids=["hebrew", "arabic", "emoji", "surrogate", "control", "html", "one-word", "many-words"],
)  # fmt: skip
def test_any_other_text_gets_an_answer(classifier: Path, said: str) -> None:
    outcome = TextClassifierModel.pretrained(str(classifier)).scorer().one({"text": said})
    assert outcome.error is None
    assert sum(outcome.answer["probability"]) == pytest.approx(1, abs=0.01)


def test_a_lone_surrogate_becomes_the_replacement_character() -> None:
    assert checked("a \ud800 b", 100) == "a \ufffd b"
    assert checked("grün 😀", 100) == "grün 😀"
    with pytest.raises(InputError, match="3 characters"):
        checked("abc", 2)


def test_windows_have_the_tokens_that_settings_and_network_allow(classifier: Path, tmp_path: Path) -> None:
    folder = tmp_path / "long"
    shutil.copytree(classifier, folder)
    told = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**told, "model_max_length": 2048}))
    network = transformers.BertConfig(max_position_embeddings=1024)
    tokens = {most: Tokens(folder, network, WindowSettings(max_tokens=most)).max_tokens for most in (None, 800, 5000)}
    assert tokens == {None: 512, 800: 800, 5000: 1024}


def test_pooling_weighs_windows_by_their_tokens() -> None:
    parts = [Part(np.array([0.0, 4.0], np.float32), 3), Part(np.array([4.0, 0.0], np.float32), 1)]
    assert pooled(parts, "mean").tolist() == [1.0, 3.0]
    assert pooled(parts, "max").tolist() == [4.0, 4.0]
    assert pooled(parts, "first").tolist() == [0.0, 4.0]


class TestRefused:
    def test_an_encoder_is_no_classifier(self, encoder: Path) -> None:
        with pytest.raises(ArtifactError, match="classifier"):
            TextClassifierModel.pretrained(str(encoder))

    def test_pickled_weights(self, classifier: Path, tmp_path: Path) -> None:
        folder = tmp_path / "pickled"
        folder.mkdir()
        for file in classifier.iterdir():
            if file.suffix != ".safetensors":
                (folder / file.name).write_bytes(file.read_bytes())
        (folder / "pytorch_model.bin").write_bytes(b"never opened")
        with pytest.raises(ArtifactError, match=r"pytorch_model.bin.*brightspark convert .*--solution nlp"):
            TextClassifierModel.pretrained(str(folder))

    def test_a_tokenizer_that_cuts_no_windows(self, tmp_path: Path) -> None:
        """Every text would be an error."""
        config = transformers.CanineConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_hash_functions=2,
            num_hash_buckets=64, max_position_embeddings=64, num_labels=2,
        )  # fmt: skip
        transformers.CanineForSequenceClassification(config).save_pretrained(tmp_path)
        transformers.CanineTokenizer().save_pretrained(tmp_path)
        wanted = r"CanineTokenizer does not cut a long text into windows: save .*tokenizer\.json"
        with pytest.raises(ArtifactError, match=wanted):
            TextClassifierModel.pretrained(str(tmp_path))
        with pytest.raises(ArtifactError, match=wanted):
            write_start(tmp_path / "s", TextFitSettings(checkpoint=str(tmp_path)), ["a", "b"], multi_label=False)

    def test_code_of_its_own(self, classifier: Path, tmp_path: Path) -> None:
        folder = tmp_path / "foreign"
        folder.mkdir()
        for file in classifier.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        (folder / "config.json").write_text('{"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}')
        (folder / "own.py").write_text("raise SystemExit('this ran')")
        with pytest.raises(ArtifactError, match=r"config.json"):
            TextClassifierModel.pretrained(str(folder))

    @pytest.mark.parametrize(
        "setting",
        [{"max_tokens": 3}, {"overlap": -1}, {"max_tokens": 20, "overlap": 11}, {"max_chars": 0}, {"pooling": "sum"},
         {"batch_size": 0}, {"temperature": 0.0}],
    )  # fmt: skip
    def test_settings_that_cannot_be(self, setting: dict[str, Any]) -> None:
        with pytest.raises(SettingError, match=list(setting)[-1]):
            TextSettings(**setting)


class TestEmbedder:
    def test_a_vector_is_the_mean_over_the_tokens_at_length_one(self, encoder: Path) -> None:
        said = text("glad", 3)
        tokenizer = transformers.AutoTokenizer.from_pretrained(encoder)
        network = transformers.AutoModel.from_pretrained(encoder).eval()
        with torch.inference_mode():
            mean = network(**tokenizer(said, return_tensors="pt")).last_hidden_state[0].mean(dim=0).numpy()
        embedder = TextEmbedder.pretrained(str(encoder), precision="float32")
        others = [{"text": text("grim", seed, words=seed * 3)} for seed in range(8)]
        [outcomes] = embedder.scorer().score([[{"text": said}, *others]])
        np.testing.assert_allclose(outcomes[0].answer["features"], mean / np.linalg.norm(mean), atol=1e-5)

    def test_of_a_classifier_the_encoder_is_used(self, classifier: Path) -> None:
        assert TextEmbedder.pretrained(str(classifier)).scorer().one({"text": "glad"}).error is None

    def test_another_checkpoint_gives_another_vector(self, encoder: Path, tmp_path: Path) -> None:
        other = save_encoder(tmp_path / "other", seed=1)
        vectors = [
            TextEmbedder.pretrained(str(folder), precision="float32").scorer().one({"text": "glad"}).answer["features"]
            for folder in (encoder, other)
        ]
        assert np.abs(vectors[0] - vectors[1]).max() > 0.01
