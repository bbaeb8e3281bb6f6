"""How each family of translators is told its languages. Knows transformers, no Spark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from brightspark.core.errors import SettingError, did_you_mean

PREFIXED = ("t5", "mt5", "umt5", "longt5", "switch_transformers")
CODED = ("m2m_100", "mbart", "nllb-moe")


@dataclass(frozen=True)
class Direction:
    """What makes a network translate from one language into another."""

    prefix: str = ""
    """Stands before each text."""

    options: Mapping[str, int] = field(default_factory=dict)
    """Of `GenerationConfig`: the token that a translation starts with."""


def direct(tokenizer: Any, model_type: str, source: str | None, target: str | None) -> Direction:
    """Sets the tokenizer's source language; what else a translation needs.

    Raises SettingError for a language that the checkpoint does not know, or needs and was not told.
    """
    if model_type in CODED:
        return _coded(tokenizer, source, target)
    if model_type in PREFIXED:
        return _prefixed(source, target)
    if model_type == "marian":
        return _marian(tokenizer, source, target)
    if source or target:
        raise SettingError(f"{model_type} networks have no languages to choose from: leave source and target language")
    return Direction()


def offered(tokenizer: Any, model_type: str) -> tuple[list[str], list[str]]:
    """The source and the target languages that a checkpoint lets one choose from, in its own words.

    None where there is no choice, nor for T5, which any words can be said to.
    """
    if model_type in CODED:
        codes = sorted(_codes(tokenizer))
        return codes, codes
    if model_type == "marian":
        return [], _targets(tokenizer)
    return [], []


def _coded(tokenizer: Any, source: str | None, target: str | None) -> Direction:
    """A token before or after the source, and one that the translation starts with: NLLB, M2M100, mBART."""
    codes = _codes(tokenizer)
    for name, code in (("source_language", source), ("target_language", target)):
        if code is None:
            raise SettingError(f"this checkpoint translates between many languages: set {name}, one of {_some(codes)}")
        if code not in codes:
            raise SettingError(f"{name}={code!r} is unknown to this checkpoint; {did_you_mean(code, sorted(codes))}")
    assert target is not None
    tokenizer.src_lang = source
    # mBART of 25 languages starts with the language itself; the others start with </s>, and the language comes next.
    old = type(tokenizer).__name__.startswith("MBartTokenizer")
    return Direction(options={"decoder_start_token_id" if old else "forced_bos_token_id": codes[target]})


def _codes(tokenizer: Any) -> dict[str, int]:
    """The languages of a tokenizer, with their tokens' numbers."""
    if hasattr(tokenizer, "get_lang_id"):  # M2M100, whose tokens are __de__
        return {code: tokenizer.get_lang_id(code) for code in tokenizer.lang_code_to_token}
    special = [str(token) for token in (*tokenizer.all_special_tokens, *tokenizer.get_added_vocab())]
    return {
        token: tokenizer.convert_tokens_to_ids(token) for token in special if "_" in token and token[0] not in "<▁["
    }


def _prefixed(source: str | None, target: str | None) -> Direction:
    """T5 is told in words: "translate English to German: "."""
    if source is None and target is None:
        return Direction()  # fine-tuned for one pair, or the texts say it themselves
    if source is None or target is None:
        raise SettingError("set both source_language and target_language, in words: English, German")
    return Direction(prefix=f"translate {source} to {target}: ")


def _marian(tokenizer: Any, source: str | None, target: str | None) -> Direction:
    """One pair of languages, or several targets, of which >>code<< names one."""
    codes = _targets(tokenizer)
    if codes:
        if target is None:
            raise SettingError(f"this checkpoint has several targets: set target_language, one of {_some(codes)}")
        if target not in codes:
            raise SettingError(
                f"target_language={target!r} is unknown to this checkpoint; {did_you_mean(target, codes)}"
            )
        return Direction(prefix=f">>{target}<< ")
    asked = (("source_language", source, tokenizer.source_lang), ("target_language", target, tokenizer.target_lang))
    for name, wanted, known in asked:
        if wanted is not None and known is not None and wanted != known:
            raise SettingError(f"{name}={wanted!r}, and this checkpoint's is {known!r}")
    return Direction()


def _targets(tokenizer: Any) -> list[str]:
    """The targets of a Marian that has several, whose tokens are >>de<<."""
    return sorted(code[2:-2] for code in tokenizer.supported_language_codes)


def _some(codes: Iterable[str]) -> str:
    ordered = sorted(codes)
    return ", ".join(ordered[:8]) + (f" … ({len(ordered)} in all)" if len(ordered) > 8 else "")
