"""The hybrid in one process: what speaks for an item, the weights that are learned, and what is recommended."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from brightspark.core.errors import ArtifactError, InputError
from brightspark.recsys import cease, content, covisits, ease, popularity
from brightspark.recsys.catalogue import Catalogue
from brightspark.recsys.content import Content, unit
from brightspark.recsys.evidence import KINDS, Candidates, ask, candidates, compared, evidence
from brightspark.recsys.factors import Als
from brightspark.recsys.fit_settings import HybridFitSettings
from brightspark.recsys.hybrid import Hybrid
from brightspark.recsys.hybrid_training import chosen_parts
from brightspark.recsys.likeness import Likeness, diverse
from brightspark.recsys.part import UNKNOWN, Codes, Floats, Part
from brightspark.recsys.reranker import Lesson, learn, lesson
from tests.recsys.films import FILMS, USERS, ratings
from tests.recsys.films import KINDS as FILM_KINDS


def seen() -> csr_matrix:
    user, item = (np.array([row[place] for row in _coded()]) for place in (0, 1))
    return csr_matrix((np.ones(len(user), dtype=np.float32), (user, item)), shape=(USERS, FILMS))


def _coded() -> list[tuple[int, int]]:
    return [(int(user.removeprefix("user ")), item) for user, item, _ in ratings()]


def features() -> Floats:
    return np.eye(len(FILM_KINDS), dtype=np.float32)[np.arange(FILMS) % len(FILM_KINDS)]


def hybrid(each: int = 10) -> Hybrid:
    matrix = seen()
    parts: list[Part] = [
        popularity.fit(matrix, popularity.PopularitySettings()),
        ease.fit(matrix, ease.EaseSettings(l2=20.0)),
        content.fit(matrix, content.ContentSettings(), features()),
    ]
    weights = np.array([0.1, 0, 1, -0.2, 0.5, 0], dtype=np.float32)
    return Hybrid(parts, weights, popularity.fit(matrix, popularity.PopularitySettings()), each)


def everyone() -> Codes:
    return np.arange(USERS, dtype=np.int32)


class TestEvidence:
    scores = np.array([[5, 1, 3, 3, 0]], dtype=np.float32)

    def test_scores_and_places_are_relative_to_the_candidates(self) -> None:
        among = candidates([self.scores], 4)
        assert among.items.tolist() == [0, 1, 2, 3]
        above, place = evidence([self.scores], among).T
        np.testing.assert_allclose(above, (np.array([5, 1, 3, 3]) - 3) / np.sqrt(2), rtol=1e-6)
        np.testing.assert_allclose(np.expm1(place), [0, 3, 1, 1], atol=1e-6)

    def test_a_part_that_tells_nothing_apart_says_nothing(self) -> None:
        above, _ = evidence([np.full((1, 5), 7, dtype=np.float32)], candidates([self.scores], 5)).T
        assert (above == 0).all()

    def test_each_part_brings_its_own_candidates(self) -> None:
        assert candidates([self.scores, -self.scores], 1).items.tolist() == [0, 4]

    def test_what_is_hidden_is_no_candidate_and_changes_no_other_row(self) -> None:
        histories = csr_matrix(np.array([[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]))
        part = popularity.Popularity(self.scores[0])
        among = candidates(ask([part], histories, everyone()[:2], np.array([0, 0, 0, 0, 1], dtype=bool)), 5)
        assert [among.items[among.rows == row].tolist() for row in (0, 1)] == [[1, 2, 3], [0, 1, 2, 3]]

    def test_a_pair_beside_the_candidates_stands_as_it_would_among_them(self) -> None:
        among = candidates([self.scores], 3)
        (above, place), *_ = compared([self.scores], among, np.array([0]), [np.array([1], dtype=np.float32)])
        assert above == pytest.approx((1 - 11 / 3) / np.std([5, 3, 3]))
        assert np.expm1(place) == pytest.approx(3)

    def test_a_user_without_candidates_is_no_trouble(self) -> None:
        scores = np.full((2, 3), -np.inf, dtype=np.float32)
        scores[1] = [1, 2, 3]
        among = candidates([scores], 2)
        assert among.rows.tolist() == [1, 1]
        assert np.isfinite(evidence([scores], among)).all()


class TestWeights:
    def test_they_are_those_that_the_choices_were_made_by(self) -> None:
        """Users who choose by the softmax of known weights give these weights back."""
        draw = np.random.default_rng(0)
        wanted = np.array([1.5, -0.7, 0.0])
        users, width = 4000, 20
        said = draw.normal(size=(users, width, 3)).astype(np.float32)
        odds = np.exp(said @ wanted)
        chosen = [draw.choice(width, p=row / row.sum()) for row in odds]
        held_back = np.zeros((users, width), dtype=bool)
        held_back[np.arange(users), chosen] = True
        rows, items = np.divmod(np.arange(users * width), width)
        found = learn([Lesson(Candidates(users, rows, items), said.reshape(-1, 3), held_back.ravel())])
        np.testing.assert_allclose(found, wanted, atol=0.1)

    def test_each_user_counts_the_same(self) -> None:
        """One with forty items that speak against what another's one item speaks for does not outvote him."""

        def of(number: int, sign: float) -> Lesson:
            said = np.array([[sign]] * number + [[-sign]] * number, dtype=np.float32)
            return Lesson(Candidates(1, np.zeros(2 * number, dtype=np.intp), np.arange(2 * number)), said,
                          np.arange(2 * number) < number)  # fmt: skip

        np.testing.assert_allclose(learn([of(1, 1.0), of(40, -1.0)]), 0, atol=1e-3)

    def test_users_of_whom_nothing_held_back_is_a_candidate_teach_nothing(self) -> None:
        among = Candidates(3, np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 2, 1]))
        truth = csr_matrix(np.array([[0, 1, 0], [0, 1, 0], [0, 1, 0]]))
        taught = lesson(among, np.arange(5, dtype=np.float32)[:, None], truth)
        assert taught.candidates.users == 2
        assert taught.candidates.rows.tolist() == [0, 0, 1]
        assert taught.held_back.tolist() == [False, True, True]
        with pytest.raises(InputError, match="too few interactions"):
            learn([])


class TestHybrid:
    def test_it_ranks_the_candidates_and_nothing_that_was_seen(self) -> None:
        made, matrix = hybrid(), seen()
        scores = made.scores(matrix, everyone())
        assert np.isneginf(scores[matrix.nonzero()]).all()
        best = scores.argmax(axis=1)
        assert (best % len(FILM_KINDS) == everyone() % len(FILM_KINDS)).mean() > 0.9

    def test_pairs_have_the_scores_and_places_of_the_lists(self) -> None:
        made, matrix = hybrid(), seen()
        scores = made.scores(matrix, everyone())
        rows, items = np.nonzero(scores > -np.inf)
        found, places = made.pairs(matrix, everyone(), rows, items, placed=True)
        np.testing.assert_allclose(found, scores[rows, items], atol=1e-6)
        wanted = [1 + int((scores[row] > scores[row, item]).sum()) for row, item in zip(rows, items, strict=True)]
        assert places.tolist() == wanted
        beside = np.argwhere(np.isneginf(scores[0]))[:, 0]
        found, places = made.pairs(
            matrix[:1], everyone()[:1], np.zeros(len(beside), dtype=np.intp), beside, placed=True
        )
        assert np.isfinite(found).all()
        assert (places == 0).all()

    def test_who_is_unknown_gets_what_is_popular(self) -> None:
        made = hybrid()
        nothing = csr_matrix((2, FILMS), dtype=np.float32)
        hidden = np.zeros(FILMS, dtype=bool)
        hidden[int(made.popularity.users.argmax())] = True
        scores = made.scores(nothing, np.full(2, UNKNOWN, dtype=np.int32), hidden)
        counts = np.where(hidden, -1, made.popularity.users)
        assert scores.argmax(axis=1).tolist() == [int(counts.argmax())] * 2
        assert np.isneginf(scores[:, hidden]).all()

    def test_who_has_seen_everything_gets_nothing(self) -> None:
        full = csr_matrix(np.ones((1, FILMS), dtype=np.float32))
        assert np.isneginf(hybrid().scores(full, np.full(1, UNKNOWN, dtype=np.int32))).all()

    def test_it_is_the_same_from_its_files(self, tmp_path: Path) -> None:
        made, matrix = hybrid(), seen()
        made.save(tmp_path)
        again = Hybrid.load(tmp_path, made.each)
        np.testing.assert_allclose(again.scores(matrix, everyone()), made.scores(matrix, everyone()), rtol=1e-6)
        (tmp_path / "ease.safetensors").unlink()
        with pytest.raises(ArtifactError, match=r"ease\.safetensors"):
            Hybrid.load(tmp_path)


class TestFeatures:
    def test_ease_with_features_is_the_closed_form_of_both_stacked(self) -> None:
        matrix, known = seen(), features()
        found = cease.fit(matrix, cease.CeaseSettings(l2=30.0, feature_weight=3.0), known).weights
        both = np.concatenate([matrix.toarray(), 3.0 * known.T]).astype(np.float64)
        inverse = np.linalg.inv(both.T @ both + 30.0 * np.eye(FILMS))
        wanted = -inverse / np.diag(inverse)
        np.fill_diagonal(wanted, 0)
        np.testing.assert_allclose(found, wanted, atol=1e-5)

    def test_an_item_that_nobody_has_rated_is_recommended_by_its_features(self) -> None:
        dense = seen().toarray()
        dense[:, :4] = 0  # one of each kind
        matrix = csr_matrix(dense)
        for part in (
            cease.fit(matrix, cease.CeaseSettings(l2=20.0), features()),
            content.fit(matrix, content.ContentSettings(), features()),
        ):
            best = part.scores(matrix, everyone())[:, :4].argmax(axis=1)
            assert (best == everyone() % len(FILM_KINDS)).mean() > 0.95, part.name

    def test_a_number_becomes_which_of_its_quantiles_it_is_near(self) -> None:
        years = np.linspace(-1, 1, 101, dtype=np.float32)[:, None]
        spread = cease.spread_out(years)
        assert spread.shape == (101, cease.KNOTS)
        np.testing.assert_allclose(spread.sum(axis=1)[years.ravel() != 0], 1, rtol=1e-5)
        alike = spread @ spread.T
        assert alike[10, 12] > alike[10, 30] == 0

    def test_what_is_unknown_of_an_item_makes_it_like_no_other(self) -> None:
        known = features()
        known[7] = 0
        part = content.fit(seen(), content.ContentSettings(), known)
        assert (part.features[7] == 0).all()


class TestCovisits:
    def test_what_came_soon_after_one_another_counts_by_how_near_it_stood(self) -> None:
        """Two users with the orders 0 1 2 3 and 2 0; item 4 has no moment."""
        rows, items, places = [0, 0, 0, 0, 0, 1, 1], [0, 1, 2, 3, 4, 2, 0], [1, 2, 3, 4, 0, 1, 2]
        matrix = csr_matrix((np.ones(7, dtype=np.float32), (rows, items)), shape=(2, 5))
        when = csr_matrix((np.array(places, dtype=np.float32), (rows, items)), shape=(2, 5))
        found = covisits.fit(matrix, covisits.CovisitSettings(window=2), when).similarity.toarray()
        far = np.exp(-1)
        counts = np.zeros((5, 5))
        for one, other, weight in ((0, 1, 1), (1, 2, 1), (2, 3, 1), (0, 2, far + 1), (1, 3, far)):
            counts[one, other] = counts[other, one] = weight
        scale = 1 / np.sqrt(counts.sum(axis=1) + covisits.SHRINKING)
        np.testing.assert_allclose(found, counts * scale[:, None] * scale, rtol=1e-5)

    def test_only_the_nearest_are_kept(self) -> None:
        draw = np.random.default_rng(0).random((6, 6)).astype(np.float32)
        kept = covisits.nearest(csr_matrix(draw), 2).toarray()
        for row, of in zip(draw, kept, strict=True):
            best = np.sort(row)[-2:]
            np.testing.assert_allclose(np.sort(of)[-2:], best)
            assert np.count_nonzero(of) == 2

    def test_without_a_moment_nothing_is_near(self) -> None:
        matrix = seen()
        part = covisits.fit(matrix, covisits.CovisitSettings(), csr_matrix(matrix.shape, dtype=np.float32))
        assert not part.scores(matrix, everyone()).any()


class TestParts:
    def test_all_that_fit_are_chosen_and_the_others_say_why(self) -> None:
        names, left_out = chosen_parts(HybridFitSettings(), seen(), {"features"})
        assert names == ["popularity", "als", "bpr", "neighbours", "cease", "content", "towers"]
        assert left_out["covisits"] == "no interaction has a moment"
        assert "ease" in left_out
        assert "covisits" in chosen_parts(HybridFitSettings(), seen(), {"places"})[0]
        names, left_out = chosen_parts(HybridFitSettings(), seen(), ())
        assert "ease" in names
        assert left_out["content"] == "nothing is known of the items"
        wide = cast(Any, SimpleNamespace(shape=(1_000, 50_000), nnz=10_000))
        names, left_out = chosen_parts(HybridFitSettings(max_bytes=10 << 20), wide, {"features"})
        assert names == ["popularity", "content"]
        assert "GiB, more than max_bytes" in left_out["als"]
        _, left_out = chosen_parts(HybridFitSettings(max_bytes=1 << 40), wide, ())
        assert left_out["ease"] == "50,000 items are more than 40,000"

    def test_one_that_is_named_and_cannot_be_is_refused(self) -> None:
        with pytest.raises(InputError, match="parts names 'content', and nothing is known of the items"):
            chosen_parts(HybridFitSettings(parts=("popularity", "content")), seen(), ())


class TestLists:
    def test_the_more_diverse_the_less_alike(self) -> None:
        known = unit(np.repeat(features()[:4], 5, axis=0))  # five of each kind, the best ones first
        scores = np.linspace(1, 0.5, 20, dtype=np.float32)
        assert diverse(scores, known, 4, 0.0).tolist() == [0, 1, 2, 3]
        assert diverse(scores, known, 4, 0.9).tolist() == [0, 5, 10, 15]

    def test_likeness_is_the_mean_cosine_of_the_parts_that_know_an_item(self) -> None:
        draw = np.random.default_rng(0)
        content_of, factors_of = (draw.normal(size=(9, width)).astype(np.float32) for width in (4, 3))
        factors_of[8] = 0  # nobody has rated it
        parts = [Content(unit(content_of)), Als(draw.normal(size=(2, 3)), factors_of, 1.0, 1.0)]
        found = Likeness.of([popularity.Popularity(np.ones(9, dtype=np.float32)), *parts])
        cosines = [unit(each) @ unit(each).T for each in (content_of, factors_of)]
        everything = np.arange(9, dtype=np.int32)
        wanted = (cosines[0] + cosines[1]) / 2
        np.testing.assert_allclose(found.between(everything[:8], everything[:8]), wanted[:8, :8], atol=1e-6)
        np.testing.assert_allclose(
            found.between(everything[8:], everything[:8]), cosines[0][8:, :8] / 2**0.5, atol=1e-6
        )
        np.testing.assert_allclose(np.diag(found.to_all(everything)), 1, atol=1e-6)
        np.testing.assert_allclose(found.to_all(everything[3:5]), found.between(everything[3:5], everything), atol=1e-6)
        vectors = found.vectors(slice(2, 9))
        assert vectors.shape == (7, found.dimensions)
        np.testing.assert_allclose(vectors @ vectors.T, found.between(everything[2:], everything[2:]), atol=1e-6)

    def test_where_no_part_has_vectors_nothing_is_like_anything(self) -> None:
        found = Likeness.of([popularity.Popularity(np.ones(9, dtype=np.float32))])
        assert (found.to_all(np.arange(9, dtype=np.int32)) == 0).all()


class TestCatalogue:
    def catalogue(self, kind: str) -> Catalogue:
        import pyarrow as pa

        ids = [3, 1, 2] if kind == "bigint" else ["c", "a", "b"]
        return Catalogue(pa.array(ids), pa.array(ids), None, csr_matrix(np.eye(3, dtype=np.float32)))

    @pytest.mark.parametrize(("kind", "asked"), [("bigint", [2, None, 7, 3]), ("string", ["b", None, "x", "c"])])
    def test_ids_have_their_codes_and_others_have_none(self, kind: str, asked: list[Any], tmp_path: Path) -> None:
        made = self.catalogue(kind)
        made.save(tmp_path)
        for known in (made, Catalogue.load(tmp_path)):
            assert known.user_codes(asked).tolist() == [2, UNKNOWN, UNKNOWN, 0]
            assert known.item_codes([]).tolist() == []

    def test_what_is_told_stands_for_what_is_known(self) -> None:
        told = [None, np.array([0, 2], dtype=np.int32), None]
        histories, users = self.catalogue("bigint").histories_of(np.array([1, 1, UNKNOWN], dtype=np.int32), told)
        assert users.tolist() == [1, UNKNOWN, UNKNOWN]
        assert histories.toarray().tolist() == [[0, 1, 0], [1, 0, 1], [0, 0, 0]]


class TestASinglePart:
    """Ranks by its own scores; who is unknown gets what is popular all the same."""

    matrix = seen()
    part = ease.fit(matrix, ease.EaseSettings(l2=20.0))
    alone = Hybrid(
        [part], np.zeros(len(KINDS), dtype=np.float32), popularity.fit(matrix, popularity.PopularitySettings())
    )

    def test_its_scores_are_the_list(self) -> None:
        hidden = np.arange(FILMS) % 2 == 0
        found = self.alone.scores(self.matrix, everyone(), hidden)
        wanted = self.part.scores(self.matrix, everyone())
        there = (self.matrix.toarray() == 0) & ~hidden
        assert np.array_equal(found, np.where(there, wanted, -np.inf))

    def test_pairs_have_the_same_scores_and_their_places(self) -> None:
        rows, items = np.nonzero(np.ones((3, FILMS)))
        found, places = self.alone.pairs(self.matrix[:3], everyone()[:3], rows, items, placed=True)
        wanted = self.part.scores(self.matrix[:3], everyone()[:3])
        assert np.array_equal(found, wanted[rows, items])
        unseen = self.matrix[:3].toarray() == 0
        order = np.argsort(np.argsort(-np.where(unseen, wanted, -np.inf), axis=1), axis=1) + 1
        assert np.array_equal(places.reshape(3, FILMS), np.where(unseen, order, 0))

    def test_strangers_get_what_is_popular(self) -> None:
        nothing = csr_matrix((1, FILMS), dtype=np.float32)
        found = self.alone.scores(nothing, np.array([UNKNOWN], dtype=np.int32))
        assert np.array_equal(found[0], np.diff(self.matrix.tocsc().indptr))

    def test_it_comes_back_from_a_folder(self, tmp_path: Path) -> None:
        self.alone.save(tmp_path)
        found = Hybrid.load(tmp_path)
        assert [part.name for part in found.parts] == ["ease"]
        assert found.explained() == {}
        for matrix in (self.matrix, csr_matrix((USERS, FILMS), dtype=np.float32)):
            assert np.array_equal(found.scores(matrix, everyone()), self.alone.scores(matrix, everyone()))


def test_a_block_is_asked_once_of_each_part() -> None:
    asked: list[int] = []

    class Asked(popularity.Popularity):
        def scores(self, histories: csr_matrix, users: Codes) -> Floats:
            asked.append(histories.shape[0])
            return super().scores(histories, users)

    part = Asked(np.arange(FILMS, dtype=np.float32))
    Hybrid([part], np.ones(len(KINDS), dtype=np.float32), part, 5).scores(seen()[:7], everyone()[:7])
    assert asked == [7]
    assert len(ask([part], seen()[:2], everyone()[:2])) == 1
