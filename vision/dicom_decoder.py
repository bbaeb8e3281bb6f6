"""Decodes compressed DICOM frames, in a process of its own: `python -m brightspark.vision.dicom_decoder`.

GDCM ends its process at one in fifty frames that are damaged at random, and pyjpegls does not return from many. In a
Spark worker either would take the whole job along; here it costs the one record. The process decodes one frame
after the other, from its standard input to its standard output: a line of JSON, then bytes. It ends with its parent.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from typing import Any, BinaryIO, cast

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from brightspark.core.errors import InputError, one_line

Pixels = np.ndarray[Any, np.dtype[Any]]

PLUGINS = ("pyjpegls", "pylibjpeg", "pillow", "gdcm", "pydicom")  # the least likely to crash first
LEAST_SECONDS = 20.0
_PIXELS_PER_SECOND = 500_000  # a tenth of what JPEG 2000, the slowest, does on an ordinary core


def decoded(frame: bytes, options: dict[str, Any]) -> tuple[Pixels, str]:
    """A frame's pixels and their photometric interpretation, by the first of pydicom's decoders that can.

    `options` are pydicom's, and hold the transfer syntax. Raises InputError with the first decoder's reason.
    """
    syntax = UID(options["transfer_syntax_uid"])
    decoder = get_decoder(syntax)
    source = encapsulate([frame])
    reason = ""
    for name in (name for name in PLUGINS if name in decoder.available_plugins):
        try:
            pixels, found = decoder.as_array(
                source, index=0, decoding_plugin=name, **{**options, "transfer_syntax_uid": syntax}
            )
        except Exception as error:
            # pydicom's own words come before the decoder's: that all those that were asked for have failed
            reason = reason or str(error).rpartition("available plugins:")[2]
        else:
            pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
            return pixels, str(found["photometric_interpretation"])
    raise InputError(" ".join(reason.split()))


def decode_apart(frame: bytes, options: dict[str, Any]) -> tuple[Pixels, str]:
    """`decoded`, by a process that may crash or hang.

    Raises InputError with the decoder's reason, or with what became of the process.
    """
    worker = _take()
    seconds = max(LEAST_SECONDS, options["rows"] * options["columns"] / _PIXELS_PER_SECOND)
    try:
        head, body = worker.ask({"options": options, "seconds": seconds}, frame)
    except BaseException:
        worker.stop()
        raise
    if head is None:
        raise InputError(_end(worker.stop(), seconds))
    with _lock:
        _idle.append(worker)
    if "error" in head:
        raise InputError(head["error"])
    return np.frombuffer(body, head["type"]).reshape(head["shape"]), head["photometric"]


def _end(code: int, seconds: float) -> str:
    if code == -signal.SIGALRM:
        return f"their decoder took more than {seconds:.0f} s"
    if code == -signal.SIGKILL:
        return "the process that decodes them was killed, perhaps for want of memory"
    if code < 0:
        return f"their decoder crashed ({signal.Signals(-code).name}): the file is damaged"
    return (
        f"the process that decodes them ended with code {code}; `python -m brightspark.vision.dicom_decoder` on a "
        "worker shows why"
    )


class _Process:
    """A decoding process, and the line to it."""

    def __init__(self) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)  # also what Spark has added to the worker's
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "brightspark.vision.dicom_decoder"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # damaged files make the decoders talk
            env={**os.environ, "PYTHONPATH": paths},
        )

    def ask(self, request: dict[str, Any], frame: bytes) -> tuple[dict[str, Any] | None, bytes]:
        """The answer's head and pixels; no head where the process has ended."""
        try:
            _send(cast(BinaryIO, self._process.stdin), request, frame)
        except BrokenPipeError:
            return None, b""
        return _receive(cast(BinaryIO, self._process.stdout))

    def runs(self) -> bool:
        """Whether it waits for a frame: an interrupt from the keyboard, say, ends it unseen."""
        return self._process.poll() is None

    def stop(self) -> int:
        """Ends the process, if it has not ended by itself; its exit code."""
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                cast(BinaryIO, pipe).close()
            except BrokenPipeError:
                continue
        try:
            return self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


_idle: list[_Process] = []
_lock = threading.Lock()


def _take() -> _Process:
    """A process that nobody uses: as many run as threads decode at the same time."""
    with _lock:
        while _idle:
            process = _idle.pop()
            if process.runs():
                return process
    return _Process()


def _stop_all() -> None:
    while _idle:
        _idle.pop().stop()


atexit.register(_stop_all)
os.register_at_fork(after_in_child=_idle.clear)  # a forked process must not talk on its parent's lines


def _send(pipe: BinaryIO, head: dict[str, Any], body: bytes | memoryview = b"") -> None:
    pipe.write(json.dumps({**head, "bytes": len(body)}).encode() + b"\n")
    pipe.write(body)
    pipe.flush()


def _receive(pipe: BinaryIO) -> tuple[dict[str, Any] | None, bytes]:
    line = pipe.readline()
    if not line.endswith(b"\n"):
        return None, b""
    head = json.loads(line)
    body = pipe.read(head["bytes"])
    return (head, body) if len(body) == head["bytes"] else (None, b"")


def main() -> None:
    """Answers requests until the parent closes the line."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    requests = sys.stdin.buffer
    with os.fdopen(os.dup(1), "wb") as answers, open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 1)  # what a decoder prints must not get between the answers
        while True:
            head, frame = _receive(requests)
            if head is None:
                return
            # The default action ends the process, also inside foreign code that never returns.
            signal.setitimer(signal.ITIMER_REAL, head["seconds"])
            try:
                pixels, photometric = decoded(frame, head["options"])
                answer = {"type": pixels.dtype.str, "shape": pixels.shape, "photometric": photometric}
                body = np.ascontiguousarray(pixels).data.cast("B")
            except Exception as error:
                answer, body = {"error": one_line(error).removeprefix("InputError: ")}, memoryview(b"")
            signal.setitimer(signal.ITIMER_REAL, 0)
            _send(answers, answer, body)


if __name__ == "__main__":
    main()
