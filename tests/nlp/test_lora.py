"""Low-rank adapters: what learns, what stays, and that what is saved is a plain checkpoint with them merged."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file

from brightspark.core.errors import MissingExtraError, SettingError
from brightspark.nlp import TextClassifier, TextClassifierModel, Translator, evaluate
from brightspark.nlp.estimator import START
from brightspark.nlp.lora import adapt, is_frozen, merged
from brightspark.nlp.lora_settings import LORA_RATE, LoraSettings
from brightspark.nlp.network import load_classifier
from brightspark.nlp.training import adapted_classifier, depths
from tests.nlp.checkpoints import plain_logits, save_classifier, text
from tests.nlp.translators import save_translator

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.timeout(600)]

RANK = 4
SMALL: dict[str, Any] = {
    "batch_size": 16, "validation_share": 0.25, "loader_workers": 0, "precision": "float32", "lora_rank": RANK,
}  # fmt: skip
BERT_TARGETS = ("query", "value")


def table(spark: SparkSession, each: int, *, first: int = 0) -> DataFrame:
    said = [(text(label, seed), label) for label in ("glad", "grim") for seed in range(first, first + each)]
    return spark.createDataFrame(said, "text string, label string")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def assert_low_rank(before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor], changed: list[str]) -> None:
    """The named matrices differ by a matrix of at most RANK, the others not at all, but for the head."""
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        if name in changed:
            rank = int(torch.linalg.matrix_rank(after[name].double() - tensor.double(), rtol=1e-4))
            assert 0 < rank <= RANK, name
        elif "pooler" not in name and "classifier" not in name:
            assert after[name].equal(tensor), name


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def model(spark: SparkSession, encoder: Path, runs: Path) -> TextClassifierModel:
    fitted = TextClassifier(str(encoder), epochs=8, learning_rate=1e-2, run_folder=str(runs), **SMALL)
    return fitted.fit(table(spark, 120))


@pytest.fixture(scope="module")
def place(model: TextClassifierModel, runs: Path) -> Path:
    [found] = runs.glob("fit-*")
    return found


@pytest.mark.slow
class TestClassifier:
    def test_it_tells_texts_that_it_has_not_seen(self, spark: SparkSession, model: TextClassifierModel) -> None:
        assert evaluate(model.transform(table(spark, 40, first=1000))).accuracy > 0.9

    def test_the_encoder_differs_by_matrices_of_low_rank(self, model: TextClassifierModel, place: Path) -> None:
        before, after = weights(place / "network"), weights(Path(model.artifact.address))
        targets = [name for name in before if name.endswith(tuple(f".{target}.weight" for target in BERT_TARGETS))]
        assert len(targets) == 4
        assert_low_rank(before, after, targets)
        assert not after["classifier.weight"].equal(before["classifier.weight"])

    @pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # peft asks for it
    def test_it_answers_as_peft_does_without_merging(self, model: TextClassifierModel, place: Path) -> None:
        learned = load_file(place / "run" / "weights.safetensors")
        theirs = peft_model(place / "network")
        counted, _ = theirs.get_nb_trainable_parameters()
        assert sum(tensor.numel() for tensor in learned.values()) == counted
        _, unexpected = theirs.load_state_dict({as_peft(name): one for name, one in learned.items()}, strict=False)
        assert not unexpected
        said = [text("glad", 2000), text("grim", 2000), "a day"]
        tokenizer = transformers.AutoTokenizer.from_pretrained(place / "network")
        with torch.inference_mode():
            logits = [theirs.eval()(**tokenizer(one, return_tensors="pt")).logits[0] for one in said]
        wanted = torch.stack(logits).numpy()
        assert plain_logits(Path(model.artifact.address), said) == pytest.approx(wanted, abs=1e-5)

    def test_snapshots_hold_what_learns_and_no_more(self, place: Path) -> None:
        learned = load_file(place / "run" / "weights.safetensors").keys()
        [snapshot, *_] = sorted((place / "run" / "snapshots").glob("step-*"))
        kept = load_file(snapshot / "state.safetensors").keys()
        assert {name.removeprefix("/module/") for name in kept if name.startswith("/module/")} == set(learned)

    def test_scoring_needs_no_peft(self, model: TextClassifierModel, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "peft", None)
        assert model.scorer().one({"text": text("glad", 3)}).answer["prediction"] == "glad"
        assert not list(Path(model.artifact.address).glob("adapter*"))

    def test_a_training_that_was_stopped_goes_on_to_the_same_weights(
        self, spark: SparkSession, encoder: Path, tmp_path: Path
    ) -> None:
        settings = {**SMALL, "validation_share": 0.0, "epochs": 2, "snapshot_steps": 3, "keep_snapshots": 99,
                    "ema_decay": 0.9, "lora_dropout": 0.2, "run_folder": str(tmp_path)}  # fmt: skip
        rows = table(spark, 60)
        whole = weights(Path(TextClassifier(str(encoder), **settings).fit(rows).artifact.address))
        [run] = tmp_path.glob("fit-*/run")
        first, *later = sorted((run / "snapshots").glob("step-*"))
        assert len(later) > 2
        for snapshot in later:
            shutil.rmtree(snapshot)
        for name in ("result.json", "weights.safetensors"):
            (run / name).unlink()
        again = weights(Path(TextClassifier(str(encoder), **settings).fit(rows).artifact.address))
        assert first.exists()
        assert all(again[name].equal(tensor) for name, tensor in whole.items())


def peft_model(folder: Path) -> Any:
    """The same training as peft's documentation sets it up."""
    network = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    config = peft.LoraConfig(
        task_type="SEQ_CLS", r=RANK, lora_alpha=16, target_modules=list(BERT_TARGETS),
        modules_to_save=["classifier", "pooler"],
    )  # fmt: skip
    return peft.get_peft_model(network, config)


def as_peft(name: str) -> str:
    """A learned tensor's name, as peft has it."""
    name = f"base_model.model.{name.removeprefix('network.')}"
    for module in ("classifier", "pooler"):
        name = name.replace(f".{module}.", f".{module}.modules_to_save.default.")
    return name


def test_facts_name_targets_as_json_has_them(classifier: Path) -> None:
    """Lists, where settings are tuples."""

    def adapted(*targets: str) -> list[str]:
        said: Any = {"lora_rank": 2, "lora_targets": list(targets)}
        names = [name for name, _ in adapted_classifier(classifier, LoraSettings(**said)).model.named_parameters()]
        return [name.partition(".lora_A")[0] for name in names if ".lora_A" in name]

    named = {name.removeprefix("bert.encoder.layer.") for name in adapted("value", "intermediate.dense")}
    assert named == {f"{layer}.{name}" for layer in (0, 1) for name in ("attention.self.value", "intermediate.dense")}
    assert len(adapted("all-linear")) == 2 * 6


@pytest.mark.slow
def test_a_translator_learns_and_stays_a_plain_checkpoint(spark: SparkSession, tmp_path: Path) -> None:
    start = save_translator(tmp_path / "marian", "marian")
    rows = spark.createDataFrame(
        [(text("glad", seed), text("grim", seed)) for seed in range(60)], "text string, target string"
    )
    losses: list[float] = []
    translator = Translator(str(start), epochs=3, training_tokens=32, run_folder=str(tmp_path / "runs"), **SMALL)
    translator.watch = lambda line: losses.append(line["loss"]) if line["kind"] == "epoch" else None
    model = translator.fit(rows)
    assert losses[-1] < losses[0]
    before, after = weights(start), weights(Path(model.artifact.address))
    linear = [name for name in before if name.endswith(("_proj.weight", "fc1.weight", "fc2.weight"))]
    assert len(linear) == 2 * 6 + 2 * 10
    assert_low_rank(before, after, linear)
    network: Any = transformers.AutoModelForSeq2SeqLM.from_pretrained(model.artifact.address).eval()
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(model.artifact.address)
    said = text("glad", 2000)
    tokens = network.generate(**tokenizer(said, return_tensors="pt"), num_beams=4, max_new_tokens=20)
    answered = model.copy({model.getParam("precision"): "float32", model.getParam("max_new_tokens"): 20})
    wanted = tokenizer.decode(tokens[0], skip_special_tokens=True).strip()
    assert answered.scorer().one({"text": said}).answer["translation"] == wanted


TINY: dict[str, Any] = {
    "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 40, "num_labels": 3,
}  # fmt: skip
ENCODERS = {  # each with the parameters that learn as a whole
    "bert": ({}, {"bert.pooler.dense", "classifier"}),
    "roberta": ({"pad_token_id": 1}, {"classifier.dense", "classifier.out_proj"}),
    "xlm-roberta": ({"pad_token_id": 1}, {"classifier.dense", "classifier.out_proj"}),
    "mpnet": ({"pad_token_id": 1}, {"classifier.dense", "classifier.out_proj"}),
    "electra": ({"embedding_size": 16}, {"classifier.dense", "classifier.out_proj"}),
    "deberta-v2": ({}, {"pooler.dense", "classifier"}),
    "distilbert": ({"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}, {"pre_classifier", "classifier"}),
    "albert": ({"embedding_size": 16}, {"albert.pooler", "classifier"}),
    "gpt2": ({"n_embd": 16, "n_layer": 2, "n_head": 2, "pad_token_id": 0}, {"score"}),
}


def save_tiny(folder: Path, kind: str) -> Path:
    more, _ = ENCODERS[kind]
    own = {} if kind in ("distilbert", "gpt2") else TINY
    config = transformers.AutoConfig.for_model(kind, **{**own, "vocab_size": 50, "num_labels": 3, **more})
    torch.manual_seed(3)
    transformers.AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("targets", [None, ("all-linear",)], ids=["usual", "all-linear"])
@pytest.mark.parametrize("kind", ENCODERS)
def test_of_any_encoder_the_adapters_and_the_head_learn_and_merge(
    kind: str, targets: tuple[str, ...] | None, tmp_path: Path
) -> None:
    folder = save_tiny(tmp_path / kind, kind)
    settings = LoraSettings(lora_rank=2, lora_targets=targets)
    network = adapted_classifier(folder, settings).model.eval()
    learned = {name: one for name, one in network.named_parameters() if not is_frozen(network)(name)}
    whole = {name.rpartition(".")[0] for name in learned if ".lora_" not in name}
    assert whole == ENCODERS[kind][1]
    numbers = {
        one: depth for name, depth in depths(network).items() if (one := name.removeprefix("network.")) in learned
    }
    adapters = {depth for name, depth in numbers.items() if ".lora_" in name}
    assert adapters - {0} == ({1} if kind == "albert" else {1, 2})  # 0: ALBERT widens its embeddings by a linear layer
    torch.manual_seed(4)
    for one in learned.values():
        torch.nn.init.normal_(one, std=0.3)
    said = {"input_ids": torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])}
    with torch.inference_mode():
        wanted = network(**said).logits
        plain = load_classifier(folder)
        plain.load_state_dict(merged(adapted_classifier(folder, settings), learned))
        assert plain(**said).logits.numpy() == pytest.approx(wanted.numpy(), abs=1e-5)
        assert load_classifier(folder)(**said).logits.numpy() != pytest.approx(wanted.numpy(), abs=1e-2)


class TestRefused:
    @pytest.mark.parametrize(
        "setting",
        [{"lora_rank": 0}, {"lora_alpha": 0.0}, {"lora_dropout": 1.0}, {"lora_targets": ()}, {"lora_targets": ("",)},
         {"trained_blocks": 2}],
    )  # fmt: skip
    def test_what_cannot_be(self, setting: dict[str, Any]) -> None:
        with pytest.raises(SettingError, match=next(iter(setting))):
            TextClassifier("some/checkpoint", **{"lora_rank": 8, **setting})

    @pytest.mark.parametrize("setting", [{"lora_alpha": 32.0}, {"lora_dropout": 0.1}, {"lora_targets": ["query"]}])
    def test_what_would_do_nothing(self, setting: dict[str, Any]) -> None:
        for estimator in (TextClassifier, Translator):
            with pytest.raises(SettingError, match=rf"{next(iter(setting))}=.*set lora_rank"):
                estimator("some/checkpoint", **setting)

    def test_a_translator_from_scratch_has_nothing_to_adapt(self) -> None:
        with pytest.raises(SettingError, match=r"lora_rank=8.*'scratch'"):
            Translator("scratch", lora_rank=8)

    def test_layers_that_are_not_there(self, classifier: Path) -> None:
        network = load_classifier(classifier)
        with pytest.raises(SettingError, match=r"no layer 'querry'; did you mean 'query'"):
            adapt(network, LoraSettings(lora_rank=2, lora_targets=("value", "querry")))
        with pytest.raises(SettingError, match=r"lora_targets=\('LayerNorm',\) cannot be"):
            adapt(network, LoraSettings(lora_rank=2, lora_targets=("LayerNorm",)))

    def test_without_peft(self, classifier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "peft", None)
        with pytest.raises(MissingExtraError, match=r"LoRA needs peft: pip install 'brightspark\[nlp\]'"):
            adapted_classifier(classifier, LoraSettings(lora_rank=2))


def test_adapters_have_a_rate_of_their_own_unless_it_is_said(classifier: Path, tmp_path: Path) -> None:
    (tmp_path / START).symlink_to(classifier)
    fit: Any = SimpleNamespace(place=tmp_path)
    for estimator in (TextClassifier, Translator):
        whole = estimator("some/checkpoint")
        adapted = whole.copy({whole.getParam("lora_rank"): 8})  # as a grid sets it
        assert adapted.settled(fit).rate == LORA_RATE
        assert estimator("some/checkpoint", lora_rank=8, learning_rate=0.5).settled(fit).rate == 0.5
        assert whole.settled(fit).rate < LORA_RATE


def test_the_dropout_is_that_of_the_settings(tmp_path: Path) -> None:
    network = adapted_classifier(save_classifier(tmp_path / "bert"), LoraSettings(lora_rank=2, lora_dropout=0.25)).model
    found = {layer.p for name, layer in network.named_modules() if "lora_dropout" in name and hasattr(layer, "p")}
    assert found == {0.25}
