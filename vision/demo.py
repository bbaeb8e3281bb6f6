"""The demo's sections on images."""

from __future__ import annotations

from brightspark.vision import demo_dicom, demo_medical, demo_photographs

SECTIONS = {
    "vision": demo_photographs.section,
    "skin patches": demo_medical.section,
    "DICOM": demo_dicom.section,
}
FULL_SECTIONS = {"skin patches": demo_medical.full_section}
