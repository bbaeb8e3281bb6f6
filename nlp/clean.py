"""Cleaning texts where they lie: Spark SQL's own functions, nothing crosses into Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column

_ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&apos;": "'", "&nbsp;": " ", "&amp;": "&"}


def cleaned(text: Column | str, *, html: bool = False, urls: str | None = None, mentions: str | None = None) -> Column:
    """A column of texts without control characters, and each run of white space as one space.

    `html` takes tags, scripts and styles out, and turns the commonest entities into their characters (by expressions,
    which is enough for texts and not for pages that want to hide something). `urls` and `mentions` (@name) are
    replaced by what is given. Null stays null.

        df.withColumn("text", cleaned("text", html=True, urls="http", mentions="@user"))
    """
    column = F.col(text) if isinstance(text, str) else text
    if html:
        column = F.regexp_replace(column, r"(?is)<(script|style)\b.*?</\1\s*>|<!--.*?-->", " ")
        column = F.regexp_replace(column, r"</?[A-Za-z][^<>]*>", " ")
        for entity, character in _ENTITIES.items():  # &amp; last: "&amp;lt;" is "&lt;"
            column = F.replace(column, F.lit(entity), F.lit(character))
    if urls is not None:
        column = F.regexp_replace(column, r"(?i)\bhttps?://\S+", F.lit(_literal(urls)))
    if mentions is not None:
        column = F.regexp_replace(column, r"(?<!\w)@\w+", F.lit(_literal(mentions)))
    column = F.regexp_replace(column, r"[\p{Cc}&&[^\t\n\r]]", "")
    return F.trim(F.regexp_replace(column, r"(?U)\s+", " "))


def _literal(replacement: str) -> str:
    """As Java's replacement, in which $ and \\ mean something else."""
    return replacement.replace("\\", "\\\\").replace("$", "\\$")
