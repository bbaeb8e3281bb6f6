"""Learning to translate, from a DataFrame to a model: what each family learns, from scratch too, what is refused."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers
from pyspark.sql import functions as F

from brightspark.core.errors import InputError, SettingError
from brightspark.core.translation_metrics import translation
from brightspark.nlp import Translator, TranslatorModel
from brightspark.nlp.translation_training import build, loss
from brightspark.nlp.vocabulary import learn_tokenizer
from tests.nlp.checkpoints import text
from tests.nlp.translators import FAMILIES, save_translator

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow, pytest.mark.timeout(600)]

WORDS = {  # a language that a small network learns in seconds: word by word, the colour behind the thing
    "red": "rouge", "green": "vert", "black": "noir", "cat": "chat", "dog": "chien", "horse": "cheval",
    "bird": "oiseau", "sees": "voit", "follows": "suit", "hears": "entend",
}  # fmt: skip
COLOURS, THINGS, DEEDS = list(WORDS)[:3], list(WORDS)[3:7], list(WORDS)[7:]


def pairs(spark: SparkSession) -> DataFrame:
    """432 sentences: the red cat sees the green dog."""
    rows = []
    for first, who, does, second, whom in itertools.product(COLOURS, THINGS, DEEDS, COLOURS, THINGS):
        said = [WORDS[word] for word in (who, first, does, whom, second)]
        target = "le {} {} {} le {} {}".format(*said)
        rows.append((f"the {first} {who} {does} the {second} {whom}", target))
    return spark.createDataFrame(rows, "text string, target string")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Settings of a training of seconds; Connect wants a folder that its server sees too."""
    return {
        "batch_size": 16, "validation_share": 0.2, "loader_workers": 0, "precision": "float32",
        "training_tokens": 32, "run_folder": str(tmp_path_factory.mktemp("runs")),
    }  # fmt: skip


@pytest.fixture(scope="module")
def model(spark: SparkSession, small: dict[str, Any]) -> TranslatorModel:
    shape = {"layers": 1, "width": 128, "vocabulary": 400, "dropout": 0.0}
    return Translator("scratch", **{**small, **shape}).fit(pairs(spark))


def test_from_scratch_it_translates_what_it_has_not_seen(spark: SparkSession, model: TranslatorModel) -> None:
    metrics = model.artifact.metrics
    assert 40 < metrics["validation_rows"] < 130
    assert metrics["chrf"] > 80
    assert metrics["signatures"]["chrf"].startswith("nrefs:1|case:mixed")
    copied = translation(pairs(spark).withColumn("translation", F.col("text"))).overall
    assert copied.chrf is not None
    assert metrics["chrf"] > copied.chrf + 30


def test_transformers_opens_what_was_learned_and_translates_the_same(
    spark: SparkSession, model: TranslatorModel, tmp_path: Path
) -> None:
    model.save(str(tmp_path / "artifact"))
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(tmp_path / "artifact")
    network: Any = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "artifact").eval()
    said = ["the red cat sees the green dog", "the black horse hears the red bird", "a dog 🐕"]
    settings = {"num_beams": 4, "max_new_tokens": 40, "max_length": None}
    plain = [
        tokenizer.decode(
            network.generate(**tokenizer(one, return_tensors="pt"), **settings)[0], skip_special_tokens=True
        )
        for one in said
    ]
    loaded = TranslatorModel.load(str(tmp_path / "artifact"))
    loaded = loaded.copy({loaded.getParam("precision"): "float32", loaded.getParam("max_new_tokens"): 40})
    rows = loaded.transform(spark.createDataFrame([(one,) for one in said], "text string")).collect()
    assert [row["translation"] for row in rows] == [one.strip() for one in plain]


def test_fine_tuning_goes_on_from_the_checkpoint(spark: SparkSession, small: dict[str, Any], tmp_path: Path) -> None:
    start = save_translator(tmp_path / "nllb", "nllb")
    rows = spark.createDataFrame(
        [(text("glad", seed), text("grim", seed)) for seed in range(60)], "text string, target string"
    )
    rows = rows.union(spark.createDataFrame([("nobody knows", None)], "text string, target string"))
    languages = FAMILIES["nllb"]
    watched: list[float] = []
    translator = Translator(str(start), **{**small, "epochs": 4, "learning_rate": 3e-3}, **languages)
    translator.watch = lambda line: watched.append(line["loss"]) if line["kind"] == "epoch" else None
    model = translator.fit(rows)
    assert watched[-1] < watched[0]
    told = model.artifact
    assert told.training["training_rows"] + told.metrics["validation_rows"] == 60
    assert (model.settings.source_language, model.settings.target_language) == ("eng_Latn", "deu_Latn")
    assert model.transform(rows).filter("error is null").count() == 61


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_of_each_family_is_that_of_transformers(family: str, tmp_path: Path) -> None:
    folder = save_translator(tmp_path / family, family)
    languages = FAMILIES[family]
    facts = {"source_language": None, "target_language": None, **languages, "training_tokens": 60, "max_chars": 1000,
             "dropout": 0.0, "label_smoothing": 0.0, "group_by_length": False, "network": str(folder)}  # fmt: skip
    task = build(facts)
    assert task.example is not None
    assert task.collate is not None
    records = [{"text": text("glad", 1), "target": text("grim", 1, 5)}, {"text": "a day", "target": text("", 3, 9)}]
    batch = task.collate([task.example(record, False) for record in records])
    with torch.no_grad():
        found = loss(task.module.eval(), batch, smoothing=0.0)

    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
    network: Any = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    prefix = f">>{languages['target_language']}<< " if family == "marian-several" else ""
    prefix = "translate English to German: " if family == "t5" else prefix
    if family not in ("t5", "marian", "marian-several"):
        tokenizer.src_lang, tokenizer.tgt_lang = languages["source_language"], languages["target_language"]
    inputs = tokenizer(
        [prefix + record["text"] for record in records], text_target=[record["target"] for record in records],
        padding=True, return_tensors="pt",
    )  # fmt: skip
    truth = inputs.pop("labels")
    truth[truth == tokenizer.pad_token_id] = -100
    with torch.no_grad():
        expected = network(**inputs, labels=truth).loss
    assert float(found.total / found.weight) == pytest.approx(float(expected), rel=1e-5)


def test_a_translation_that_is_cut_does_not_end_there(tmp_path: Path) -> None:
    folder = save_translator(tmp_path / "marian", "marian")
    facts = {"network": str(folder), "source_language": None, "target_language": None, "training_tokens": 10,
             "max_chars": 1000, "dropout": None, "label_smoothing": 0.1, "group_by_length": False}  # fmt: skip
    task = build(facts)
    assert task.example is not None
    end = transformers.AutoTokenizer.from_pretrained(folder).eos_token_id
    cut = task.example({"text": text("glad", 1, 30), "target": text("grim", 1, 30)}, True)
    assert (len(cut.source["input_ids"]), len(cut.target)) == (10, 10)
    assert cut.source["input_ids"][-1] == end
    assert end not in cut.target
    short = task.example({"text": "day", "target": "day"}, True)
    assert short.target[-1] == end


def test_a_vocabulary_spells_what_it_does_not_know() -> None:
    said = [text(label, seed) for label in ("glad", "grim") for seed in range(50)]
    tokenizer = learn_tokenizer(said, 320, 64)
    for one in (said[0], "Straße 🐕", "日本"):
        tokens = tokenizer(one)["input_ids"]
        assert tokenizer.unk_token_id not in tokens
        assert tokenizer.decode(tokens, skip_special_tokens=True).strip() == one
    again = learn_tokenizer(said, 320, 64)
    assert again.get_vocab() == tokenizer.get_vocab()
    assert len(tokenizer) == max(tokenizer.get_vocab().values()) + 1
    with pytest.raises(InputError, match="no vocabulary"):
        learn_tokenizer([], 320, 64)


def test_what_cannot_be_is_told_before_any_training(spark: SparkSession, small: dict[str, Any], tmp_path: Path) -> None:
    rows = pairs(spark)
    with pytest.raises(InputError, match=r"no column 'target' \(target_col\); did you mean"):
        Translator("scratch", **small).fit(rows.withColumnRenamed("target", "targets"))
    with pytest.raises(InputError, match="null in all of the 432 rows"):
        Translator("scratch", **small).fit(rows.withColumn("target", F.lit(None).cast("string")))
    with pytest.raises(InputError, match="name the checkpoint"):
        Translator(**small).fit(rows)
    with pytest.raises(InputError, match=r"none of .* rows can be read; one of them: the translation is empty"):
        Translator("scratch", **{**small, "vocabulary": 400}).fit(
            rows.withColumn("target", F.substring("target", 3, 1))
        )
    nllb = save_translator(tmp_path / "nllb", "nllb")
    with pytest.raises(SettingError, match=r"target_language='deu' is unknown.*deu_Latn"):
        Translator(str(nllb), source_language="eng_Latn", target_language="deu", **small).fit(rows)
    for wrong in ({"target_col": "text"}, {"width": 100}, {"monitor": "bleu"}, {"vocabulary": 10}, {"dropout": 1.0}):
        with pytest.raises(SettingError, match=next(iter(wrong))):
            Translator("scratch", **wrong)


def test_from_scratch_has_defaults_of_its_own() -> None:
    assert Translator("scratch").settings.epochs > Translator("some/checkpoint").settings.epochs
    assert Translator("scratch", learning_rate=0.5).settings.rate == 0.5
