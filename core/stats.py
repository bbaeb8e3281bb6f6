"""What a scorer did, as numbers that can be added: they leave a Spark worker beside the answers."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass
class Stats:
    """Counts, and seconds of one worker's threads: they overlap, so their sum can exceed the time that passed."""

    records: int = 0
    errors: int = 0
    pieces: int = 0
    batches: int = 0
    out_of_memory: int = 0
    cost: int = 0
    padded_cost: int = 0
    load_seconds: float = 0.0
    split_seconds: float = 0.0
    prepare_seconds: float = 0.0
    wait_seconds: float = 0.0
    model_seconds: float = 0.0

    def __post_init__(self) -> None:
        self._taken: dict[str, float] = {}

    @property
    def padding(self) -> float:
        """The share of what the model computed that was padding."""
        return 1 - self.cost / self.padded_cost if self.padded_cost else 0.0

    def take(self) -> dict[str, float]:
        """The numbers that came since the last call.

        >>> stats = Stats(records=3)
        >>> stats.take()["records"], stats.take()["records"]
        (3, 0)
        """
        # The fields only ever grow, each on one thread, so that a reader on another loses nothing.
        now = {number.name: getattr(self, number.name) for number in fields(self)}
        since = {name: value - self._taken.get(name, 0) for name, value in now.items()}
        self._taken = now
        return since
