"""What a Spark ML learner reads and adds, as its Params say: a table is refused before the long work, not after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pyspark.ml import Pipeline
from pyspark.ml.tuning import CrossValidator, TrainValidationSplit

from brightspark.core.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from pyspark.ml.param import Params

INPUTS = ("inputCol", "inputCols", "featuresCol", "labelCol", "weightCol")
OUTPUTS = ("outputCol", "outputCols", "predictionCol", "probabilityCol", "rawPredictionCol")


def check_columns(learner: Params, types: Mapping[str, str]) -> None:
    """Raises InputError for a column that the learner lacks, would add again, or cannot learn from.

    `types` maps each column to its Spark type's name. A stage that does not say by these Params what it adds (a
    SQLTransformer, one of your own) ends the check: what comes after it may be right.
    """
    known = dict(types)
    for stage in _stages(learner):
        added = _named(stage, OUTPUTS)
        if not added:
            return
        for param, name in _named(stage, INPUTS).items():
            _check_input(stage, param, name, known)
        for param, name in added.items():
            if name in known:
                raise InputError(
                    f"{type(stage).__name__} would add the column {name!r} ({param}), which is there already; drop it, "
                    f"or give the new one another name"
                )
        known.update(dict.fromkeys(added.values(), ""))


def _check_input(stage: Params, param: str, name: str, known: Mapping[str, str]) -> None:
    # Spark finds columns in upper or lower case alike, and fields of structs behind a dot.
    if name.lower() not in map(str.lower, known) and "." not in name:
        raise InputError(
            f"{type(stage).__name__} reads a column {name!r} ({param}), which is not there; {did_you_mean(name, known)}"
        )
    if param == "labelCol" and known.get(name) == "string":
        raise InputError(
            f"the column {name!r} holds strings, and {type(stage).__name__} learns numbers: put "
            f"StringIndexer(inputCol={name!r}, outputCol='index') before it in a Pipeline, and set labelCol='index'"
        )


def _stages(learner: Params) -> Iterator[Params]:
    """The stages within pipelines and searches, in the order in which they see the rows."""
    if isinstance(learner, Pipeline):
        for stage in learner.getStages():
            yield from _stages(stage)
    elif isinstance(learner, CrossValidator | TrainValidationSplit):
        yield from _stages(learner.getEstimator())
    else:
        yield learner


def _named(stage: Params, params: tuple[str, ...]) -> dict[str, str]:
    """The columns that Params of these names name; one of several columns as `inputCols[1]`."""
    named = {}
    for param in params:
        value: Any = stage.getOrDefault(param) if stage.hasParam(param) and stage.isDefined(param) else None
        if isinstance(value, str) and value:
            named[param] = value
        elif isinstance(value, list):
            named.update({f"{param}[{index}]": name for index, name in enumerate(value)})
    return named
