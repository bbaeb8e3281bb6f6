"""What `brightspark doctor` runs on the workers.

These functions travel by value, since a worker may lack brightspark itself: they import the standard library only,
and all else where they can say that it is not there.
"""

from __future__ import annotations

from typing import Any


def look(asked: dict[str, Any]) -> str:
    """What this worker process is and has, as JSON; an empty string where it has said so in this round.

    `asked` has `packages` (distributions), `paths` to read, `writable` folders, `round` and `hold_seconds`: an answer
    takes at least so long, so that tasks that can run at once do.
    """
    import json
    import os
    import time

    if os.environ.get("BRIGHTSPARK_DOCTOR_ROUND") == asked["round"]:
        return ""
    os.environ["BRIGHTSPARK_DOCTOR_ROUND"] = asked["round"]
    started = time.time()
    found = {**process(), "packages": versions(asked["packages"]), "torch": torch(), **own(asked)}
    time.sleep(max(0.0, started + asked["hold_seconds"] - time.time()))
    return json.dumps({**found, "started": started, "ended": time.time()})


def process() -> dict[str, Any]:
    """Who runs here: host, user, Python, and what Spark gave to the task."""
    import getpass
    import os
    import platform
    import socket
    import sys

    from pyspark import TaskContext, __version__

    task = TaskContext.get()
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "user": user,
        "python": platform.python_version(),
        "executable": sys.executable,
        "pyspark": __version__,
        "gpus": list(task.resources()["gpu"].addresses) if task and "gpu" in task.resources() else [],
    }


def versions(names: list[str]) -> dict[str, str | None]:
    """The versions of distributions; None for one that is not installed."""
    from importlib import metadata

    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def torch() -> dict[str, Any]:
    """Whether torch can be imported, how many GPUs it sees, and whether the driver of NVIDIA's is there."""
    from pathlib import Path

    devices = len(list(Path("/dev").glob("nvidia[0-9]*")))
    try:
        import torch
    except Exception as error:  # a library that is missing or broken raises anything
        return {"error": f"{type(error).__name__}: {error}", "gpus": 0, "devices": devices}
    return {"error": None, "gpus": torch.cuda.device_count(), "devices": devices}


def own(asked: dict[str, Any]) -> dict[str, Any]:
    """What brightspark's own functions find here: its version, memory, cache and paths; or why it cannot be used."""
    try:
        import brightspark
        from brightspark.core.doctor_storage import can_read, can_write, disk
        from brightspark.core.session import memory_bytes
    except Exception as error:  # also what its base packages raise
        return {"brightspark": None, "error": f"{type(error).__name__}: {error}"}
    return {
        "brightspark": brightspark.__version__,
        "error": None,
        "memory": memory_bytes(),
        "disk": disk(),
        "readable": {path: can_read(path) for path in asked["paths"]},
        "writable": {path: can_write(path) for path in asked["writable"]},
    }
