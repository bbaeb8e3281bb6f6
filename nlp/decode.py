"""Beam search whose batch shrinks: a text that is translated leaves it. Knows torch and transformers, no Spark.

transformers' own search keeps every row until the last one has ended. Here a row leaves with its beams, its part of the
cache and its encoder states, and the others go on in a smaller batch. Which tokens are chosen is the same: a row's
search never depends on other rows, and each rule below is that of `GenerationMixin._beam_search`, of which it is told.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from transformers.modeling_outputs import BaseModelOutput

OUT_OF_PLAY = -1e9  # a score that no sequence has


class Decoded(NamedTuple):
    """What was generated for each row, in order."""

    tokens: list[list[int]]
    """Without what generation started from; the last is the one that ends it, unless the length ran out."""
    scores: list[float]
    """The mean log-probability of these tokens."""
    cut: list[bool]
    """Whether the length ran out, also where the checkpoint then forces the token that ends it."""


def shrinking_beams(
    network: Any,
    input_ids: torch.Tensor,
    *,
    logits_processor: Any,
    stopping_criteria: Any,
    generation_config: Any,
    **inputs: Any,
) -> Decoded:
    """`custom_generate` for encoder-decoder networks; with one beam it is greedy decoding.

    What is in `inputs` must not be named as parameters: `generate` keeps those from its own encoder's call.
    """
    search = _Search(input_ids, generation_config)
    kept = "cache" if "cache" in inputs else "past_key_values"  # its name before transformers 5.24
    states, mask, cache = inputs["encoder_outputs"][0], inputs["attention_mask"], inputs[kept]
    flat = input_ids
    while True:
        logits = network(
            decoder_input_ids=flat if search.length == search.prompt else flat[:, -1:],
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=mask,
            use_cache=True,
            **{kept: cache},
        ).logits[:, -1].float()  # fmt: skip
        if search.beams > 1:  # as transformers does: processors see log-probabilities in a search, else the logits
            chances = logits_processor(flat, logits.log_softmax(dim=-1))
        else:
            chances = logits_processor(flat, logits).log_softmax(dim=-1)
        origins, left = search.step(chances)
        if not len(search.rows):
            return search.decoded()
        if left is not None:
            cache.cross_attention_cache.reorder_cache(left)
            states, mask = states[left], mask[left]
        if search.beams > 1 or left is not None:
            cache.self_attention_cache.reorder_cache(origins)
        flat = search.ids[:, :, : search.length].flatten(0, 1)


class _Search:
    """The beams of the rows that are still searched, and what was found for those that left.

    Tensors are rows × beams; `ids` and `best_ids` have the tokens as a third dimension.
    """

    def __init__(self, input_ids: torch.Tensor, config: Any) -> None:
        self.beams: int = config.num_beams
        self.limit: int = config.max_length
        self.penalty: float = config.length_penalty
        self.early = True if self.beams == 1 else config.early_stopping
        self.prompt = self.length = input_ids.shape[1]
        self.ends = config._eos_token_tensor.reshape(-1)
        self.forced = config.forced_eos_token_id is not None
        count, device = len(input_ids) // self.beams, input_ids.device
        self.keep = max(2, 1 + len(self.ends)) * self.beams  # so many that enough of them do not end
        self.rows = torch.arange(count)
        self.ids = torch.zeros((count, self.beams, self.limit), dtype=torch.int64, device=device)
        self.ids[:, :, : self.length] = input_ids.view(count, self.beams, -1)
        self.scores = torch.zeros((count, self.beams), device=device)
        self.scores[:, 1:] = OUT_OF_PLAY  # at first all beams are the same one
        self.best_ids = self.ids.clone()
        self.best = torch.full_like(self.scores, OUT_OF_PLAY)
        self.lengths = torch.zeros_like(self.scores, dtype=torch.int64)
        self.finished = torch.zeros_like(self.scores, dtype=torch.bool)
        self.found: dict[int, tuple[list[int], float, bool]] = {}

    def step(self, chances: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Adds a token to each beam, given the log-probabilities of all, and lets go of the rows that are done.

        Returns for each beam that goes on the number of the one it continues, and, where rows left, the numbers of the
        beams of those that stay.
        """
        vocabulary = chances.shape[-1]
        totals = (chances.view(*self.scores.shape, vocabulary) + self.scores[:, :, None]).flatten(1)
        top, places = totals.topk(self.keep)
        origins, tokens = places // vocabulary, places % vocabulary
        candidates = _taken(self.ids, origins)
        candidates[:, :, self.length] = tokens
        ended = torch.isin(tokens, self.ends) | (self.length + 1 >= self.limit)
        self._finish(candidates, top, ended)
        going, chosen = torch.where(ended, top + OUT_OF_PLAY, top).topk(self.beams)
        self.ids, self.scores = _taken(candidates, chosen), going
        self.length += 1
        firsts = torch.arange(len(self.rows), device=origins.device)[:, None] * self.beams
        origins = origins.gather(1, chosen) + firsts
        done = self._done() | ended.all(dim=1)
        if not done.any():
            return origins.flatten(), None
        self._let_go(done)
        beams = firsts + torch.arange(self.beams, device=origins.device)
        return origins[~done].flatten(), beams[~done].flatten()

    def decoded(self) -> Decoded:
        """What was found, in the order of the rows."""
        tokens, scores, cut = zip(*(self.found[row] for row in range(len(self.found))), strict=True)
        return Decoded(list(tokens), list(scores), list(cut))

    def _finish(self, candidates: torch.Tensor, top: torch.Tensor, ended: torch.Tensor) -> None:
        """Keeps the best of what was finished before and what ends now, of the candidates that beams would follow."""
        length = self.length + 1 - self.prompt
        ended = ended & (torch.arange(self.keep, device=ended.device) < self.beams)
        values = torch.where(ended, top / length**self.penalty, top + OUT_OF_PLAY)
        self.best, kept = torch.cat([self.best, values], dim=1).topk(self.beams)
        self.best_ids = _taken(torch.cat([self.best_ids, candidates], dim=1), kept)
        self.finished = torch.cat([self.finished, ended], dim=1).gather(1, kept)
        self.lengths = torch.cat([self.lengths, torch.full_like(top, length, dtype=torch.int64)], dim=1).gather(1, kept)

    def _done(self) -> torch.Tensor:
        """Which rows cannot become better, as far as `early_stopping` cares."""
        longest = self.limit if self.early == "never" and self.penalty > 0 else self.length
        possible = self.scores[:, :1] / (longest - self.prompt) ** self.penalty
        worst = torch.where(self.finished, self.best.min(dim=1, keepdim=True).values, OUT_OF_PLAY)
        done: torch.Tensor = ~(possible > worst).any(dim=1)
        return done | self.finished.all(dim=1) if self.early is True else done

    def _let_go(self, done: torch.Tensor) -> None:
        ends = self.ends.tolist()
        for row in done.nonzero().flatten().tolist():
            length = int(self.lengths[row, 0])
            mean = float(self.best[row, 0]) * length**self.penalty / length
            tokens = self.best_ids[row, 0, self.prompt : self.prompt + length].tolist()
            cut = self.prompt + length >= self.limit and (self.forced or tokens[-1] not in ends)
            self.found[int(self.rows[row])] = (tokens, mean, cut)
        stay = ~done
        self.rows = self.rows[stay.cpu()]
        for name in ("ids", "scores", "best_ids", "best", "lengths", "finished"):
            setattr(self, name, getattr(self, name)[stay])


def _taken(tensor: torch.Tensor, beams: torch.Tensor) -> torch.Tensor:
    """Some beams of each row, in an order of their own."""
    return tensor.gather(1, beams[:, :, None].expand(-1, -1, tensor.shape[2]))
