"""Modules are loaded without a search for garbage among what they define."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_loading() -> Iterator[None]:
    """Load modules in the block; what they define is never looked through for garbage.

    Python looks for garbage each time that there are a few more objects, and a run's modules define
    half a million that stay: that search was a fifth of the time of loading them, and half a second
    whenever it came again.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
