"""Pictures, plots and sound as data addresses, so that a page can hold them itself."""

from __future__ import annotations

import base64
import io
import logging
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_log = logging.getLogger(__name__)

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")  # decoders that start no other program
_JPEG_QUALITY = 85


class Embedded(NamedTuple):
    """A picture inside the page: its data address, and its size in pixels."""

    uri: str
    width: int
    height: int


def picture(source: bytes | Path, longest_side: int) -> Embedded | None:
    """The picture, upright, at most `longest_side` pixels long, without metadata; None where it cannot be decoded."""
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=_FORMATS) as file:
            sharp = file.format in ("PNG", "GIF") or "A" in file.getbands()
            file.draft("RGB", (longest_side, longest_side))
            image = ImageOps.exif_transpose(file).convert("RGBA" if sharp else "RGB")
    except Exception:  # Pillow's decoders raise almost anything; a broken picture is shown as missing
        _log.debug("a picture cannot be decoded", exc_info=True)
        return None
    image.info.clear()  # comments, profiles and positions would be saved again
    image.thumbnail((longest_side, longest_side))
    buffer = io.BytesIO()
    image.save(buffer, "PNG" if sharp else "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return Embedded(_data("image/png" if sharp else "image/jpeg", buffer.getvalue()), image.width, image.height)


def plot(figure: Figure) -> str:
    """The data address of the figure as SVG; the same figure gives the same bytes.

    As an image the SVG can run nothing, and its identifiers meet nobody else's.
    """
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "brightspark"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return _data("image/svg+xml", buffer.getvalue())


def sound(source: bytes | Path, mime: str) -> str:
    """The data address of a recording, as it is."""
    return _data(mime, source if isinstance(source, bytes) else source.read_bytes())


def _data(mime: str, content: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"
