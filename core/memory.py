"""What a process that computes again and again tells the C library of its memory."""

from __future__ import annotations

import ctypes

KEPT_BLOCK_BYTES = 256 << 20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def keep_freed_memory() -> None:
    """Lets freed memory stay with this process; blocks and free space beyond 256 and 512 MiB are still given back.

    glibc gives each freed block of a picture's or a network's size back to the kernel, which clears its pages again for
    the next one: a fifth of the time of a small network. Elsewhere this does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, KEPT_BLOCK_BYTES)
        mallopt(_M_TRIM_THRESHOLD, 2 * KEPT_BLOCK_BYTES)
