"""Decodes compressed DICOM frames, in a process of its own: `python -m brightspark.vision.dicom_decoder`.

GDCM ends its process at one in fifty frames that are damaged at random, and pyjpegls does not return from many. In a
Spark worker either would take the whole job along; here it costs the one record. The process decodes one frame
after the other: lines of JSON go to its standard input and come from its standard output, and the bytes that belong to
them lie in memory that both share (a pipe passes on 64 kB at a time, and each time the processes take turns). It ends
with its parent.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from brightspark.core.errors import InputError, one_line

Pixels = np.ndarray[Any, np.dtype[Any]]

PLUGINS = ("pyjpegls", "pylibjpeg", "pillow", "gdcm", "pydicom")  # the least likely to crash first
LEAST_SECONDS = 20.0
SPARE_BYTES = 1 << 30  # of address space, for decoders' libraries
_SAMPLE_BYTES = 64  # several times what any decoder holds of a pixel's colour
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
        self._shared = os.memfd_create("brightspark-dicom")
        paths = os.pathsep.join(path for path in sys.path if path)  # also what Spark has added to the worker's
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own arguments
                [sys.executable, "-P", "-m", "brightspark.vision.dicom_decoder", str(self._shared)],
                pass_fds=(self._shared,),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # damaged files make the decoders talk
                env={**os.environ, "PYTHONPATH": paths},
            )
        except BaseException:
            os.close(self._shared)
            raise

    def ask(self, request: dict[str, Any], frame: bytes) -> tuple[dict[str, Any] | None, bytes]:
        """The answer's head and pixels; no head where the process has ended."""
        try:
            _send(cast(BinaryIO, self._process.stdin), self._shared, request, frame)
        except BrokenPipeError:
            return None, b""
        answer = _receive(cast(BinaryIO, self._process.stdout), self._shared)
        os.ftruncate(self._shared, 0)  # no memory is held between two frames
        return answer

    def runs(self) -> bool:
        """Whether it waits for a frame: an interrupt from the keyboard, say, ends it unseen."""
        return self._process.poll() is None

    def forget(self) -> None:
        """Closes what a forked process has inherited of it."""
        os.close(self._shared)

    def stop(self) -> int:
        """Ends the process, if it has not ended by itself; its exit code."""
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                cast(BinaryIO, pipe).close()
            except BrokenPipeError:
                continue
        os.close(self._shared)
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
            process.stop()
    return _Process()


def _stop_all() -> None:
    while _idle:
        _idle.pop().stop()


def _forget() -> None:
    """In a forked process, which must not talk on its parent's lines, nor wait for a lock that nobody holds there."""
    global _lock
    _lock = threading.Lock()
    for process in _idle:
        process.forget()
    _idle.clear()


atexit.register(_stop_all)
os.register_at_fork(after_in_child=_forget)


def _send(pipe: BinaryIO, shared: int, head: dict[str, Any], body: bytes | memoryview) -> None:
    left = memoryview(body)
    while len(left):
        left = left[os.pwrite(shared, left, len(body) - len(left)) :]
    pipe.write(json.dumps({**head, "bytes": len(body)}).encode() + b"\n")
    pipe.flush()


def _receive(pipe: BinaryIO, shared: int) -> tuple[dict[str, Any] | None, bytes]:
    line = pipe.readline()
    if not line.endswith(b"\n"):
        return None, b""
    head = json.loads(line)
    return head, os.pread(shared, head["bytes"], 0)


def _bound_memory(options: dict[str, Any]) -> None:
    """Allows so many more bytes than the process has now as decoding a frame of this size can take."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    samples = options["rows"] * options["columns"] * options.get("samples_per_pixel", 1)
    wanted = pages * resource.getpagesize() + SPARE_BYTES + _SAMPLE_BYTES * samples
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def main() -> None:
    """Answers requests until the parent closes the line."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    requests, shared = sys.stdin.buffer, int(sys.argv[1])
    with os.fdopen(os.dup(1), "wb") as answers, open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 1)  # what a decoder prints must not get between the answers
        while True:
            head, frame = _receive(requests, shared)
            if head is None:
                return
            _bound_memory(head["options"])
            # The default action ends the process, also inside foreign code that never returns.
            signal.setitimer(signal.ITIMER_REAL, head["seconds"])
            try:
                pixels, photometric = decoded(frame, head["options"])
                answer = {"type": pixels.dtype.str, "shape": pixels.shape, "photometric": photometric}
                body = np.ascontiguousarray(pixels).data.cast("B")
            except Exception as error:
                answer, body = {"error": one_line(error).removeprefix("InputError: ")}, memoryview(b"")
            signal.setitimer(signal.ITIMER_REAL, 0)
            _send(answers, shared, answer, body)


if __name__ == "__main__" and len(sys.argv) > 1:
    main()
