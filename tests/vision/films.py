"""Films whose frames carry their numbers in their pixels, so that a test sees which frame it was given."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from PIL import Image

BARS = 8  # one a bit
SIZE = (64, 48)


def numbered(number: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """Dark and bright bars: the bits of a number, the lowest first from the left; brighter at the bottom."""
    bits = np.array([(number >> bar) & 1 for bar in range(BARS)])
    bars = np.repeat(np.where(bits, 215, 20), size[0] // BARS)
    shade = np.linspace(0, 20, size[1])[:, None, None]
    return Image.fromarray((bars[None, :, None] + shade + np.zeros(3)).astype(np.uint8))


def number_of(image: Image.Image) -> int:
    """The number that a picture carries, whatever its size."""
    bars = np.asarray(image.convert("L").resize((BARS, 1), Image.Resampling.BOX))[0]
    return sum(1 << bar for bar, grey in enumerate(bars) if grey > 127)


def save_film(
    path: Path,
    codec: str = "libx264",
    *,
    frames: int = 100,
    rate: int = 25,
    times: Sequence[int] | None = None,
    tick: Fraction | None = None,
    gop: int = 12,
    b_frames: int = 0,
    pixels: str = "yuv420p",
    size: tuple[int, int] = SIZE,
    aspect: Fraction = Fraction(1),
    x264: str = "",
    **options: str,
) -> Path:
    """A film whose frame n comes on display at n / rate seconds, or at `times` in ticks; `options` are the muxer's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tick = tick or Fraction(1, rate)
    with av.open(str(path), "w", container_options=options) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = gop, b_frames
        stream.codec_context.time_base = stream.time_base = tick
        stream.codec_context.sample_aspect_ratio = aspect
        if x264:
            stream.options = {"x264-params": x264}
        for number in range(frames):
            frame = av.VideoFrame.from_image(numbered(number % 256, size)).reformat(format=pixels)
            frame.pts, frame.time_base = (times[number] if times else number), tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def save_recording(path: Path) -> Path:
    """A second of silence without a picture."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=16_000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        sound.rate, sound.pts = 16_000, 0
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    return path


class Plain(NamedTuple):
    """A frame of a plain decode from the beginning to the end: seconds after the first one, and how it looks."""

    seconds: float
    image: Image.Image


def plain_frames(path: Path) -> list[Plain]:
    """All frames of a film, as PyAV's own documentation decodes them."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        decoded = [(frame.pts or 0, frame.to_image()) for frame in container.decode(stream)]
        return [Plain(float((pts - decoded[0][0]) * stream.time_base), image) for pts, image in decoded]


def on_display(frames: Sequence[Plain], seconds: float) -> Image.Image:
    """The last frame that has come by a time; a microsecond is forgiven."""
    return [frame.image for frame in frames if frame.seconds <= seconds + 1e-6][-1]


def with_duration(path: Path, factor: float) -> Path:
    """A copy of an MP4, AVI or Matroska film whose header claims `factor` times its length."""
    data = bytearray(path.read_bytes())

    def scale(at: int, order: str, kind: str) -> None:
        old = np.frombuffer(data, np.dtype(kind).newbyteorder(order), 1, at)
        data[at : at + old.nbytes] = (old * factor).astype(old.dtype).tobytes()

    if path.suffix == ".mp4":
        scale(data.index(b"mvhd") + 20, ">", "u4")
        scale(data.index(b"mdhd") + 20, ">", "u4")
        scale(data.index(b"tkhd") + 24, ">", "u4")
    elif path.suffix == ".avi":
        scale(data.index(b"avih") + 24, "<", "u4")  # frames of the whole
        scale(data.index(b"strh") + 40, "<", "u4")  # frames of the stream
    else:
        scale(data.index(b"\x44\x89\x88") + 3, ">", "f8")  # Matroska's element Duration, of eight bytes
    copy = path.with_name(f"claims {factor} of {path.name}")
    copy.write_bytes(data)
    return copy


def with_matrix(path: Path, matrix: Sequence[int]) -> Path:
    """A copy of an MP4 film to be shown turned or mirrored: a, b, c and d of the display matrix."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in matrix)
    data[at : at + 36] = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], ">i4").tobytes()
    copy = path.with_name(f"turned {' '.join(map(str, matrix))}.mp4")
    copy.write_bytes(data)
    return copy


def cut(path: Path, share: float = 0.6) -> Path:
    """The first part of a file."""
    data = path.read_bytes()
    copy = path.with_name(f"cut {path.name}")
    copy.write_bytes(data[: int(len(data) * share)])
    return copy
