"""The demo's sections on images."""

from __future__ import annotations

from brightspark.vision import demo_photographs

SECTIONS = {"vision": demo_photographs.section}
