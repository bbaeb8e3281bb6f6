"""The beginning of a text, without Spark: its tokens are those of the whole, and no more of it is read than needed."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors, trainers

from brightspark.core.checkpoint_network import load_tokenizer
from brightspark.nlp.settings import WindowSettings
from brightspark.nlp.tokens import Tokens, first_tokens
from brightspark.nlp.translation_training import Facts, Pairs
from tests.nlp.checkpoints import WORDS, save_tokenizer, text
from tests.nlp.translators import FAMILIES, save_translator

pytestmark = pytest.mark.usefixtures("one_thread")

NASTY = {
    "one-word": "a" * 100_000,
    "one-word-behind-others": "the day was bright " * 10 + "x" * 50_000 + " and the road" * 500,
    "no-white-space": "glad,grim;" * 3_000,
    "many-spaces": ("glad" + " " * 3_000 + "grim") * 20,
    "spaces-first": " " * 5_000 + "the day " * 500,
    "emoji": "😀👨\u200d👩\u200d👧 glad 👍🏽 " * 1_000,
    "cjk": "日本語のテキストを読む。" * 1_500,
    "cjk-with-spaces": "日本 語の テキ スト 。 " * 1_500,
    "right-to-left": "שָׁלוֹם עולם، مَرْحَبًا بالعالم 12 % " * 800,
    "combining": "e\u0301te\u0301 n\u0303 o \u0301u glad " * 1_000,
    "newlines": "glad!\n\nGrim?\r\n  5 % ( tree ) .\tThe day's end\n" * 500,
    "control": "gl\x0bad \x00 the\u200bday \x1c \u2028house \xa0: « river » 5\xa05 " * 500,
    "marks": '"glad", ... --- (the) [day] \'s it\'s "we", ' * 500,
}
LLAMA = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
PIECES = [
    *"aeo ,.!?\n\t%()'", "glad", "grim", " the", "day ", "  ", "日本", "שלום", "😀", "\u0301", "\xa0", "12", "\x0b",
    "ß",
]  # fmt: skip


def word_piece(folder: Path) -> Any:
    return save_tokenizer(folder)


def byte_level(folder: Path) -> Any:
    return _byte_pairs(folder, pre_tokenizers.ByteLevel(add_prefix_space=False))


def byte_level_of_llama(folder: Path) -> Any:
    split = pre_tokenizers.Split(Regex(LLAMA), "isolated")
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return _byte_pairs(folder, pre_tokenizers.Sequence([split, plain]))  # type: ignore[list-item]


def _byte_pairs(folder: Path, cut: Any) -> Any:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = cut
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "<pad>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    said = [text(label, seed) + "!\n\n" for label in ("glad", "grim") for seed in range(50)]
    tokenizer.train_from_iterator([*said, *NASTY["newlines"].split("Grim")], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>")
    made.save_pretrained(folder)
    return made


def of_family(family: str) -> Callable[[Path], Any]:
    def saved(folder: Path) -> Any:
        return load_tokenizer(save_translator(folder, family))

    return saved


KINDS = {
    "word-piece": word_piece,
    "byte-level": byte_level,
    "byte-level-of-llama": byte_level_of_llama,
    "unigram": of_family("mbart50"),
    "unigram-t5": of_family("t5"),
    "sentencepiece-moses": of_family("marian"),
    "sentencepiece": of_family("m2m100"),
    "byte-pairs": of_family("nllb"),
}


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return KINDS[request.param](tmp_path_factory.mktemp("tokens"))


def assert_first_of_all(tokenizer: Any, said: str, most: int) -> None:
    whole = tokenizer(said, truncation=True, max_length=most)
    assert dict(first_tokens(tokenizer, said, most)) == dict(whole)


@pytest.mark.parametrize("said", NASTY.values(), ids=NASTY)
def test_the_first_tokens_are_those_of_the_whole_text(tokenizer: Any, said: str) -> None:
    for most in (8, 40):
        assert_first_of_all(tokenizer, said, most)


def test_of_any_mixture(tokenizer: Any) -> None:
    chance = random.Random(5)
    for _ in range(150):
        said = "".join(chance.choices(PIECES, k=400))
        assert_first_of_all(tokenizer, said, chance.choice([8, 12, 30]))


def test_a_token_that_was_added_with_a_space_in_it_is_not_cut(tmp_path: Path) -> None:
    tokenizer = save_tokenizer(tmp_path)
    tokenizer.add_tokens(["dark river"])
    said = "a day " * 10 + "the dark river " * 50
    for most in range(8, 40):
        assert_first_of_all(tokenizer, said, most)


class Counted:
    """A tokenizer that counts the characters that it is given."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.chars = tokenizer, 0

    def __call__(self, said: str | None = None, **options: Any) -> Any:
        self.chars += len(said if said is not None else options["text_target"])
        return self.tokenizer(said, **options) if said is not None else self.tokenizer(**options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)


MEGABYTE = " ".join(WORDS[""] * 17_000)


def test_of_a_megabyte_only_the_beginning_is_read(classifier: Path) -> None:
    config = transformers.AutoConfig.from_pretrained(classifier)
    tokens = Tokens(classifier, config, WindowSettings(max_chars=2_000_000))
    whole = tokens.first(MEGABYTE)["input_ids"].tolist()
    counted = tokens.tokenizer = Counted(tokens.tokenizer)
    assert tokens.first(MEGABYTE)["input_ids"].tolist() == whole
    assert len(whole) == 64
    assert counted.chars < 1_000
    assert len(MEGABYTE) > 1_000_000


@pytest.mark.parametrize("family", FAMILIES)
def test_of_pairs_too_and_a_translation_that_is_cut_does_not_end(family: str, tmp_path: Path) -> None:
    folder = save_translator(tmp_path / family, family)
    languages = {"source_language": None, "target_language": None, **FAMILIES[family]}
    facts = Facts(network=str(folder), **languages, training_tokens=20, max_chars=2_000_000, dropout=None,
                  label_smoothing=0.0, group_by_length=False)  # fmt: skip
    pairs = Pairs(folder, transformers.AutoConfig.from_pretrained(folder), facts)
    wanted = {
        said: (
            pairs.tokenizer(pairs.direction.prefix + said, truncation=True, max_length=20)["input_ids"],
            pairs.tokenizer(text_target=said)["input_ids"][:20],
        )
        for said in ("day", MEGABYTE[:20_000], *(one.strip() for one in NASTY.values()))
    }
    for said, (source, target) in wanted.items():
        found = pairs({"text": said, "target": said}, True)
        assert (found.source["input_ids"].tolist(), found.target.tolist()) == (source, target)
    counted = pairs.tokenizer = Counted(pairs.tokenizer)
    assert len(pairs({"text": MEGABYTE, "target": MEGABYTE}, True).target) == 20
    assert counted.chars < 2_000
