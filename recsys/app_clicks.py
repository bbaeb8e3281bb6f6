"""What becomes of a visitor's clicks in the app's tab on recommendations: the new contents of what changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from brightspark.apps import html
from brightspark.core.errors import InputError
from brightspark.recsys.app_view import CANNOT, LIKE, View


@dataclass(frozen=True)
class Clicks:
    """Answers clicks; `codes` are those of what is chosen, `different` is the slider's value.

    Most give what is chosen, its buttons and what is recommended, in this order.
    """

    view: View
    sets: Sequence[list[int]]
    """The examples."""

    def pick(self, event: gr.EventData, codes: list[int], different: float) -> tuple[Any, ...]:
        """Something found is liked: the box and what was found are empty again."""
        return "", "", *self._add(self._code(event), codes, different)

    def first(self, typed: str | None, codes: list[int], different: float) -> tuple[Any, ...]:
        """Enter: the best match is liked, if there is any."""
        code = self.view.first(typed or "")
        if code is None:
            return gr.skip(), self.view.found(typed or ""), gr.skip(), gr.skip(), gr.skip()
        return "", "", *self._add(code, codes, different)

    def remove(self, event: gr.EventData, codes: list[int], different: float) -> tuple[Any, ...]:
        """Something chosen is taken back."""
        gone = self._code(event)
        return self._changed([code for code in codes if code != gone], different)

    def example(self, event: gr.EventData, different: float) -> tuple[Any, ...]:
        """An example takes the place of what was chosen."""
        return self._changed(list(self.sets[int(event.index)]), different)

    def deed(self, event: gr.EventData, codes: list[int], different: float) -> tuple[Any, ...]:
        """A button below a row: the item is liked as well, or what is like it is shown, which is the fourth."""
        code = self._code(event)
        if str(event.pick).startswith(LIKE):
            return *self._add(code, codes, different), gr.skip()
        return gr.skip(), gr.skip(), gr.skip(), self.view.alike(code)

    def pick_alike(self, event: gr.EventData) -> tuple[str, str, str]:
        """Of something found it is shown what is like it."""
        return "", "", self.view.alike(self._code(event))

    def first_alike(self, typed: str | None) -> tuple[Any, ...]:
        """Enter: the same for the best match, if there is any."""
        code = self.view.first(typed or "")
        if code is None:
            return gr.skip(), self.view.found(typed or ""), gr.skip()
        return "", "", self.view.alike(code)

    def _changed(self, codes: list[int], different: float) -> tuple[Any, ...]:
        return codes, self.view.chosen(codes), self.view.recommended(codes, different)

    def _add(self, code: int, codes: list[int], different: float) -> tuple[Any, ...]:
        try:
            return self._changed(self.view.with_one(codes, code), different)
        except InputError as error:
            return gr.skip(), gr.skip(), html.problem(CANNOT, str(error))

    def _code(self, event: gr.EventData) -> int:
        """The item whose button was pressed."""
        return self.view.lister.code(str(event.pick).rpartition(":")[2])
