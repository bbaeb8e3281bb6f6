"""Pairs of skin patches, split by the image that both patches of a pair were cut from."""

from __future__ import annotations

import csv

from brightspark import samples

HELD_OUT = 3  # every third image is tested on, as in the demo


def read() -> tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]]:
    """Training and test pictures: path, label and number of the image. Pairs that were cut from two images go."""
    folder = samples.dermoscopy()
    with (folder / "pairs.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["source"] == row["second_source"]]
    parts: tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]] = ([], [])
    for row in rows:
        parts[int(row["source"]) % HELD_OUT == 0].append((str(folder / row["path"]), row["label"], row["source"]))
    return parts
