"""Spark jobs that another thread can end, on classic Spark and on Connect, and that leave the session as it was."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class Jobs:
    """Jobs to run by `session`, within `running`, and to end by `stop`.

    On Connect they are known by a tag. On classic Spark a tag can be interrupted by the thread alone that set it, and a
    session that was ever tagged cannot be serialized any more, which Spark ML's models with a summary then need
    (pyspark 4.3: NotSerializableException in their transform). So there they run in a new session, which is
    interrupted as a whole.
    """

    def __init__(self, spark: SparkSession) -> None:
        from pyspark.sql.utils import is_remote

        self._remote = is_remote()
        self._tag = f"brightspark-{uuid.uuid4().hex}"
        self.session = spark if self._remote else spark.newSession()

    @contextmanager
    def running(self) -> Iterator[SparkSession]:
        """Jobs of this thread that begin within the block can be stopped."""
        if not self._remote:
            yield self.session
            return
        self.session.addTag(self._tag)
        try:
            yield self.session
        finally:
            self.session.removeTag(self._tag)

    def stop(self) -> None:
        """Ends the jobs, whichever thread began them."""
        if self._remote:
            self.session.interruptTag(self._tag)
        else:
            self.session.interruptAll()
