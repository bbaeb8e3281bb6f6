"""The index of a large catalogue finds nearly what comparing with all finds, in a file that others can map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from brightspark.core.errors import ArtifactError
from brightspark.recsys import likeness, nearest
from brightspark.recsys.content import Content, unit
from brightspark.recsys.part import Floats
from brightspark.recsys.popularity import Popularity
from brightspark.recsys.top import NOTHING, best

ITEMS, WIDTH, K = 3_000, 24, 10


def vectors() -> Floats:
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(60, WIDTH))
    return unit((centres[draw.integers(0, 60, ITEMS)] + 0.5 * draw.normal(size=(ITEMS, WIDTH))).astype(np.float32))


def test_nearly_all_of_the_nearest_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "BLOCK", 1_024)
    known = vectors()
    nearest.build(ITEMS, WIDTH, lambda rows: known[rows], tmp_path / "index")
    found, cosines = nearest.open_index(tmp_path / "index").nearest(known[:200], K)
    wanted, said = best(known[:200] @ known.T, K)
    shared = [len(set(one) & set(other)) for one, other in zip(found, wanted, strict=True)]
    assert np.mean(shared) > 0.98 * K
    np.testing.assert_allclose(cosines[:, 0], 1, atol=2e-3)  # half precision
    assert np.abs(cosines - said).mean() < 2e-3


def test_a_single_item_is_asked_for_and_more_than_there_are(tmp_path: Path) -> None:
    known = vectors()[:3]
    nearest.build(3, WIDTH, lambda rows: known[rows], tmp_path / "index")
    index = nearest.open_index(tmp_path / "index")
    for asked in (known[:1], known):
        found, cosines = index.nearest(asked, 5)
        assert [sorted(row) for row in found[:, :3].tolist()] == [[0, 1, 2]] * len(asked)
        assert (found[:, 3:] == NOTHING).all()
        assert (cosines[:, 3:] == -np.inf).all()


def test_vectors_of_nothing_are_near_to_nothing(tmp_path: Path) -> None:
    known = vectors()[:50]
    known[[3, 4, 20]] = 0
    nearest.build(50, WIDTH, lambda rows: known[rows], tmp_path / "index")
    found, _ = nearest.open_index(tmp_path / "index").nearest(known[[0, 3]], 50)
    assert not {3, 4, 20} & set(found.ravel().tolist())


def test_what_is_no_index_is_told(tmp_path: Path) -> None:
    (tmp_path / "index").write_bytes(b"no index at all")
    with pytest.raises(ArtifactError, match="is no index of items"):
        nearest.open_index(tmp_path / "index")


def test_large_catalogues_get_one_and_others_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [Content(vectors())]
    said: list[str] = []
    likeness.write_index(parts, tmp_path, 1 << 30, said.append)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(nearest, "FEWEST_ITEMS", ITEMS - 1)
    likeness.write_index([Popularity(np.ones(ITEMS, dtype=np.float32))], tmp_path, 1 << 30, said.append)
    assert said == []
    likeness.write_index(parts, tmp_path, 1_000, said.append)
    assert "more than max_bytes" in said[-1]
    assert not list(tmp_path.iterdir())
    likeness.write_index(parts, tmp_path, 1 << 30, said.append)
    (made,) = tmp_path.iterdir()
    assert made.name == nearest.FILE
    assert made.stat().st_size < 1.1 * nearest.index_bytes(ITEMS, WIDTH)
