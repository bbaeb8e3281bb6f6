"""Video frames per second of brightspark against a plain loop: `python benchmarks/video.py [VTEST]`. Goal: 0.9 of it.

The plain loop is PyAV and timm in one process a core, each with one thread and its share of the film; it is tried in
several shapes, and the fastest counts. brightspark is `read_video` and `transform` as they are, into a no-op write,
in a session that is warm. Both run once a round; who goes first changes from round to round.

Films: a synthetic one of 1280 × 720 pixels in H.264 with 250 frames between key frames, every frame, and every tenth
one of ten minutes of it; and, where its path is given, vtest.avi (768 × 576, in Debian's package opencv-doc) four times
over.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import images
import machine
from classifier import Classifier
from ratios import ratio, spread

CORES = len(os.sched_getaffinity(0))
GOAL = 0.9
RESULT = Path(__file__).parent / "results" / "video.json"
BATCH = 32
SHAPES = tuple({"converter": converter, "channels_last": last} for converter in (False, True) for last in (False, True))
H264_FRAMES, H264_RATE, H264_SIZE = 3000, 25, (1280, 720)
VTEST_TIMES, TENTH_TIMES = 4, 5
TRIED_FRAMES = 600  # of which each shape of the plain loop is timed


@dataclass(frozen=True)
class Task:
    """A film, and of how many frames one is scored."""

    name: str
    film: Path
    frames: int
    rate: int
    step: int

    @property
    def scored(self) -> int:
        return -(-self.frames // self.step)


def synthetic_film() -> Path:
    """A photograph that drifts under noise: H.264 with 250 frames between key frames."""
    import av
    import numpy as np
    from PIL import Image

    def make(folder: Path) -> None:
        from brightspark.samples import photographs

        source = Image.open(sorted(photographs().glob("*/*.jpg"))[0]).convert("RGB").resize((1600, 900))
        random = np.random.default_rng(0)
        noise = random.integers(-6, 7, (8, H264_SIZE[1], H264_SIZE[0], 3), dtype=np.int16)
        with av.open(str(folder / "film.mp4"), "w") as container:
            stream: Any = container.add_stream("libx264", rate=H264_RATE, options={"preset": "veryfast"})
            stream.width, stream.height, stream.pix_fmt = *H264_SIZE, "yuv420p"
            stream.codec_context.gop_size = 250
            for number in range(H264_FRAMES):
                left, top = (number % 320), (number // 2) % 180
                seen = np.asarray(source.crop((left, top, left + H264_SIZE[0], top + H264_SIZE[1])), np.int16)
                pixels = np.clip(seen + noise[number % 8], 0, 255).astype(np.uint8)
                frame = av.VideoFrame.from_ndarray(pixels)
                frame.pts, frame.time_base = number, Fraction(1, H264_RATE)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

    return images._made_once(f"film-h264-{H264_FRAMES}", make) / "film.mp4"


def repeated(film: Path, times: int) -> Path:
    """The packets of a film several times over."""
    import av

    def make(folder: Path) -> None:
        with av.open(str(folder / f"film{film.suffix}"), "w") as out:
            stream = None
            for number in range(times):
                with av.open(str(film)) as container:
                    source = container.streams.video[0]
                    stream = stream or out.add_stream_from_template(source)
                    length = source.duration or source.frames  # in the stream's units; an AVI's is a frame
                    for packet in container.demux(source):
                        if packet.dts is not None and packet.pts is not None:
                            packet.pts, packet.dts = (at + number * length for at in (packet.pts, packet.dts))
                            packet.stream = stream
                            out.mux(packet)

    return images._made_once(f"film-{film.stem}-{film.parent.name}-{times}", make) / f"film{film.suffix}"


class Plain:
    """The plain loop's processes, which have loaded the model and wait for films."""

    def __init__(self, model: Path, *, bfloat16: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipes: list[Connection] = []
        for number in range(CORES):
            ours, theirs = context.Pipe()
            context.Process(target=_work, args=(theirs, model, bfloat16, number), daemon=True).start()
            self.pipes.append(ours)
        for pipe in self.pipes:
            pipe.recv()

    def rate(self, task: Task, shape: dict[str, bool]) -> float:
        """Frames scored per second."""
        began = time.perf_counter()
        for pipe in self.pipes:
            pipe.send((task, shape))
        scored = sum(pipe.recv() for pipe in self.pipes)
        assert scored == task.scored, (scored, task)
        return task.scored / (time.perf_counter() - began)


def _work(pipe: Connection, model: Path, bfloat16: bool, number: int) -> None:
    loaded = {last: Classifier.load(model, threads=1, bfloat16=bfloat16, channels_last=last) for last in (False, True)}
    pipe.send(None)
    while True:
        try:
            task, shape = pipe.recv()
        except EOFError:  # the end
            return
        classifier = loaded[shape["channels_last"]]
        share = range(number * task.frames // CORES, (number + 1) * task.frames // CORES)
        scored, waiting = 0, []
        for image in _images(task, share, converter=shape["converter"]):
            waiting.append(classifier.transform(image))
            if len(waiting) == BATCH:
                scored += len(classifier.predict(waiting)[0])
                waiting = []
        scored += len(classifier.predict(waiting)[0]) if waiting else 0
        pipe.send(scored)


def _images(task: Task, share: range, *, converter: bool) -> Iterator[Any]:
    """The frames of one process's share as Pillow images; with a converter that is kept, or PyAV's `to_image`."""
    import av
    from av.video.reformatter import VideoReformatter

    kept = VideoReformatter()
    with av.open(str(task.film)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        assert stream.time_base is not None
        container.seek(int(share.start / task.rate / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            number = round((frame.pts or 0) * stream.time_base * task.rate)
            if number >= share.stop:
                return
            if number >= share.start and number % task.step == 0:
                yield kept.reformat(frame, format="rgb24", threads=1).to_image() if converter else frame.to_image()


def brightspark_rate(spark: Any, model: Any, task: Task) -> float:
    """Frames scored per second by a no-op write."""
    from brightspark.vision import read_video

    began = time.perf_counter()
    frame = read_video(spark, str(task.film), every=task.step / task.rate)
    model.transform(frame).write.format("noop").mode("overwrite").save()
    return task.scored / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vtest", nargs="?", type=Path, help="the path of vtest.avi")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="mobilenetv3_small_050", help="a timm model, with random weights")
    options = parser.parse_args()

    from brightspark.core.precision import resolve_precision
    from brightspark.core.session import session
    from brightspark.vision import ImageClassifierModel, read_video

    described = machine.describe()
    print(machine.headline(described))
    film = synthetic_film()
    tasks = [
        Task("H.264 720p, every frame", film, H264_FRAMES, H264_RATE, 1),
        Task("H.264 720p, every tenth", repeated(film, TENTH_TIMES), TENTH_TIMES * H264_FRAMES, H264_RATE, 10),
    ]
    if options.vtest:
        tasks.append(Task("vtest.avi, every frame", repeated(options.vtest, VTEST_TIMES), 795 * VTEST_TIMES, 10, 1))
    folder = images.model_folder(options.model)
    spark = session()
    model = ImageClassifierModel.pretrained(str(folder))
    plain = Plain(folder, bfloat16=resolve_precision("auto", "cpu") == "bfloat16")
    result: dict[str, Any] = {"machine": described, "settings": {**vars(options), "vtest": str(options.vtest)}}
    for task in tasks:
        every = task.step / task.rate
        assert read_video(spark, str(task.film), every=every).count() == task.scored
        brightspark_rate(spark, model, task)
        tried = [(plain.rate(replace(task, frames=TRIED_FRAMES), shape), shape) for shape in SHAPES]
        best = max(tried, key=lambda one: one[0])[1]
        rates: dict[str, dict[int, float]] = {"brightspark": {}, "plain": {}}
        for number in range(options.rounds):
            for name in ("brightspark", "plain") if number % 2 else ("plain", "brightspark"):
                rates[name][number] = (
                    plain.rate(task, best) if name == "plain" else brightspark_rate(spark, model, task)
                )
                print(f"round {number + 1}/{options.rounds} {task.name}, {name}: {rates[name][number]:.0f}", flush=True)
        compared = ratio(rates["brightspark"], rates["plain"])
        assert compared is not None
        shown = {name: spread(list(of.values())).median for name, of in rates.items()}
        print(
            f"{task.name}: brightspark {shown['brightspark']:.0f} frames/s, plain {shown['plain']:.0f} {best}, "
            f"ratio {compared}, goal {GOAL}: {'met' if compared.median >= GOAL else 'SHORT'}"
        )
        result[task.name] = {"rates": rates, "ratio": compared, "plain": tried}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    spark.stop()


if __name__ == "__main__":
    main()
