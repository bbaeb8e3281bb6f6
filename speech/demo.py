"""The demo's section on recordings."""

from __future__ import annotations

from brightspark.speech import demo_prompts

SECTIONS = {"speech": demo_prompts.section}
