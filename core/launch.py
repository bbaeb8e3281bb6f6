"""Distributed training on Spark: starts the ranks, follows them, and starts them again when one has died."""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brightspark.core.errors import InputError, ModelError, SetupError, one_line
from brightspark.core.journal import JournalReader
from brightspark.core.manifest import read_manifest
from brightspark.core.remote import on_a_worker
from brightspark.core.run import METRICS, TODO, Run
from brightspark.core.storage import absolute

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_log = logging.getLogger(__name__)

Line = Mapping[str, Any]
alone = threading.RLock()  # for who draws from this process's random numbers: a search may fit on several threads
FOLLOW_SECONDS = 1.0  # between two looks at the ranks' journal
# What may change from one launch of a training to the next: nothing that it computes.
FREE = frozenset(
    {
        "ranks", "use_gpu", "loader_workers", "snapshot_steps", "snapshot_minutes", "keep_snapshots", "max_restarts",
        "tensorboard",
    }
)  # fmt: skip


def train(spark: SparkSession | None, todo: Run, *, say: Callable[[Line], None] | None = None) -> dict[str, Any]:
    """Trains what `todo` says, in its folder, and returns what `brightspark.core.loop.run` does.

    One rank trains in this process, several through Spark's TorchDistributor. Where a rank or an executor dies, all
    are launched again and go on from the newest snapshot, `max_restarts` times at most. The same call goes on after
    the driver's own death, and returns at once where the training has ended. `say` gets each line of the journal as
    it is written (`brightspark.core.journal.Journal`), where this process sees the folder.

    Raises SetupError where the ranks cannot start together, InputError where the folder holds another training, and
    ModelError with a rank's own traceback where one fails for good.
    """
    here = todo.settings.ranks == 1
    if not here and spark is None:
        raise SetupError(f"ranks={todo.settings.ranks} need a Spark session; one rank needs none")
    todo = _from_the_root(todo)  # ranks have working folders of their own
    anywhere = _here if here or spark is None else partial(on_a_worker, spark)
    ended = anywhere(partial(_prepare, todo))
    if ended is not None:
        return dict(ended)
    with _followed(todo, say or _say):
        if here:
            from brightspark.core.loop import run

            with alone:
                return run(todo.folder)
        assert spark is not None
        _probe(spark, todo)
        return _launched(spark, todo)


def _here(work: Callable[[], Any]) -> Any:
    return work()


def _from_the_root(todo: Run) -> Run:
    if todo.folder.parts[:1] and todo.folder.parts[0].endswith(":"):  # a URI that was made a Path
        raise InputError(f"the run's folder {todo.folder} must be a path: snapshots are renamed in it")
    return replace(
        todo,
        folder=Path(absolute(str(todo.folder))),
        training=absolute(todo.training),
        validation=None if todo.validation is None else absolute(todo.validation),
    )


def _prepare(todo: Run) -> dict[str, Any] | None:
    """Writes `run.json`, unless the folder holds another training; the result, where this one has ended."""
    digests: Mapping[str, str] = {}
    if (todo.folder / TODO).exists():
        before = Run.open(todo.folder)
        known, wanted = (_fixed(one) for one in (before, todo))
        other = [name for name in wanted if wanted[name] != known[name]]
        if other:
            raise InputError(
                f"{todo.folder} holds a training with another {other[0]} ({known[other[0]]!r}, not "
                f"{wanted[other[0]]!r}): name another folder, or delete this one"
            )
        ended = before.result()
        for path in before.digests:
            if ended is None or read_manifest(path) is not None:
                before.staged(path)
        if ended is not None:
            return ended
        digests = before.digests
    _name_launch(replace(todo, digests=digests))
    return None


def _name_launch(todo: Run) -> None:
    replace(todo, launch=uuid.uuid4().hex[:12]).write()


def _take_errors(folder: Path) -> list[dict[str, Any]]:
    """What the ranks of the last launch raised; the next one may begin."""
    ended = Run.open(folder)
    _name_launch(ended)
    return ended.errors()


def _fixed(todo: Run) -> dict[str, Any]:
    """What makes a training this one and no other."""
    settings = {name: value for name, value in asdict(todo.settings).items() if name not in FREE}
    fixed = {
        "builder": todo.builder,
        "facts": dict(todo.facts),
        "training": todo.training,
        "validation": todo.validation,
        **settings,
    }
    return dict(json.loads(json.dumps(fixed)))  # as it comes back from run.json: tuples are lists there


def _probe(spark: SparkSession, todo: Run) -> None:
    """Whether so many ranks can start together, all see the folders, and have the packages."""
    from brightspark.core.doctor import examine
    from brightspark.core.findings import Level

    seen = [path for path in (todo.training, todo.validation, str(todo.folder / TODO)) if path]
    findings = examine(spark, solutions=(), paths=seen, writable=[str(todo.folder)], ranks=todo.settings.ranks)
    failures = [finding for finding in findings if finding.level is Level.FAILURE]
    if failures:
        raise SetupError("; ".join(f"{finding.check}: {finding.found} → {finding.advice}" for finding in failures))


def _launched(spark: SparkSession, todo: Run) -> dict[str, Any]:
    """Launches until the training has ended, or has failed for good."""
    from pyspark.ml.torch.distributor import TorchDistributor

    settings = todo.settings
    for restart in range(settings.max_restarts + 1):
        try:
            distributor = TorchDistributor(settings.ranks, local_mode=False, use_gpu=settings.use_gpu)
        except (RuntimeError, ValueError) as error:
            raise SetupError(f"the ranks cannot be started: {one_line(error)}") from error
        try:
            return dict(distributor.run(_rank, str(todo.folder)) or {})
        except Exception as error:  # whatever Spark makes of a rank's end
            raised = on_a_worker(spark, partial(_take_errors, todo.folder))
            reason = _reason(raised, settings.ranks) or one_line(error, limit=2_000)
            if any(one["final"] for one in raised):
                raise ModelError(f"the training failed: {reason}") from error
            if restart == settings.max_restarts:
                raise ModelError(
                    f"the training failed {restart + 1} times (max_restarts={settings.max_restarts}); at last: {reason}"
                ) from error
            _log.warning("a rank died, launching again (%d of %d): %s", restart + 1, settings.max_restarts, reason)
    raise AssertionError("unreachable")


def _rank(folder: str) -> dict[str, Any]:
    """What TorchDistributor runs as each rank."""
    from brightspark.core.loop import run

    return run(folder)


def _reason(raised: list[dict[str, Any]], ranks: int) -> str:
    """What a launch ended by: the first rank's traceback that has a cause of its own, or who died without a word."""
    causes = [one for one in raised if one["final"]] or [one for one in raised if not one["consequence"]]
    if causes:
        return f"rank {causes[0]['rank']}: {causes[0]['traceback']}"
    silent = sorted(set(range(ranks)) - {one["rank"] for one in raised})
    if silent and raised:
        names = ", ".join(map(str, silent))
        return (
            f"rank {names} died without a word (killed? out of memory?); rank {raised[0]['rank']}: {raised[0]['error']}"
        )
    return f"rank {raised[0]['rank']}: {raised[0]['traceback']}" if raised else ""


@contextmanager
def _followed(todo: Run, say: Callable[[Line], None]) -> Iterator[None]:
    """Tells each new line of the journal while the block runs."""
    journal = JournalReader(todo.folder / METRICS)
    for _ in journal.new_lines():  # those of earlier launches
        pass
    ended = threading.Event()

    def follow() -> None:
        last = False
        while not last:
            last = ended.wait(FOLLOW_SECONDS)
            for line in journal.new_lines():
                say(line)

    thread = threading.Thread(target=follow, name="journal", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _say(line: Line) -> None:
    if line["kind"] == "step":
        _log.info(
            "epoch %d, step %d of %d: loss %.4g, %.0f samples/s, %.0f s left",
            line["epoch"], line["step"], line["steps"], line["loss"], line["samples_per_second"], line["seconds_left"],
        )  # fmt: skip
    else:
        _log.info("%s", {name: value for name, value in line.items() if name != "time"})
