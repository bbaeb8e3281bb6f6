"""Each setting is declared once and is a Spark Param from there on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from pyspark.ml.param import Param
from pyspark.ml.tuning import ParamGridBuilder

from brightspark.core.errors import SettingError
from brightspark.core.params import Configured
from brightspark.core.settings import ScoringSettings


@dataclass(frozen=True, kw_only=True)
class LampSettings(ScoringSettings):
    bright: Annotated[bool, "whether it shines"] = True
    watts: Annotated[float, "how much it takes"] = 4.5
    colour: Annotated[str | None, "its colour, if any"] = None
    steps: Annotated[tuple[float, ...], "how it is dimmed"] = (0.5, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.watts <= 0:
            raise SettingError(f"watts={self.watts} must be above 0")


class Lamp(Configured[LampSettings]):
    Settings = LampSettings


def test_defaults_are_the_dataclasss() -> None:
    assert Lamp().settings == LampSettings()


def test_values_come_back_typed() -> None:
    lamp = Lamp(bright=False, watts=3, colour="red", steps=(0.1,), schemes=["s3"], storage_options={"anon": True})
    wanted = LampSettings(
        bright=False, watts=3.0, colour="red", steps=(0.1,), schemes=("s3",), storage_options={"anon": True}
    )
    assert lamp.settings == wanted
    assert isinstance(lamp.settings.watts, float)
    assert Lamp(colour=None).settings.colour is None


def test_every_setting_is_a_documented_param() -> None:
    lamp = Lamp()
    assert {param.name for param in lamp.params} == set(LampSettings.__dataclass_fields__)
    for param in lamp.params:
        assert isinstance(param, Param)
        assert param.doc
        assert param.doc in lamp.explainParams()
    assert "watts: how much it takes (default: 4.5)" in lamp.explainParam("watts")
    lamp.set(lamp.watts, 2)  # type: ignore[attr-defined]
    assert "current: 2.0" in lamp.explainParam("watts")


def test_an_unknown_name_gets_a_hint() -> None:
    with pytest.raises(SettingError, match="Lamp has no setting 'wats'; did you mean 'watts'"):
        Lamp(wats=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("watts", "much"), ("watts", None), ("watts", -1), ("bright", 1), ("bright", "yes"), ("colour", 3),
        ("steps", 0.5), ("steps", ("a",)), ("batch_size", "32"), ("batch_size", None), ("batch_size", 2.5),
        ("batch_size", 0), ("batch_size", True), ("precision", "float12"), ("threads", -1), ("schemes", "s3"),
        ("schemes", (1, 2)), ("storage_options", "anon"), ("storage_options", None),
        ("storage_options", {"secret": "x"}),
        ("max_file_bytes", 0),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(SettingError) as caught:
        Lamp(**{name: value})
    assert name in str(caught.value) or "storage option 'secret'" in str(caught.value)


def test_a_bad_value_in_a_copy_is_refused() -> None:
    lamp = Lamp()
    with pytest.raises(SettingError, match="watts='much'"):
        _ = lamp.copy({lamp.getParam("watts"): "much"}).settings
    with pytest.raises(SettingError, match="watts=-1"):
        _ = lamp.copy({lamp.getParam("watts"): -1.0}).settings


def test_a_copy_leaves_the_original_alone() -> None:
    lamp = Lamp(watts=2.0)
    assert lamp.copy({lamp.getParam("watts"): 9.0}).settings.watts == 9.0
    assert lamp.settings.watts == 2.0
    assert Lamp().settings.watts == 4.5


def test_defaults_are_not_shared() -> None:
    one, other = Lamp(), Lamp()
    one.getOrDefault("storage_options")["anon"] = True
    one.getOrDefault("steps").append(2.0)
    assert other.settings == LampSettings()


def test_a_grid_can_be_searched() -> None:
    lamp = Lamp()
    grid = (
        ParamGridBuilder().addGrid(lamp.getParam("watts"), [1.0, 2.0]).baseOn({lamp.getParam("bright"): False}).build()
    )
    assert [(lamp.copy(point).settings.watts, lamp.copy(point).settings.bright) for point in grid] == [
        (1.0, False),
        (2.0, False),
    ]
