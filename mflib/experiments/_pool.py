"""One pool of worker processes for a session, and one thread for each piece of work."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from typing import Any

from loky import get_reusable_executor
from threadpoolctl import ThreadpoolController

__all__ = ["no_gradients", "one_thread", "pool"]

_ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "LOKY_MAX_MEMORY_LEAK_SIZE": "1e18",  # a wide network is no leak: do not restart for it
}
_PLACES = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
_INSTALLED = tuple(place + os.sep for place in _PLACES | set(map(os.path.realpath, _PLACES)))
_ages: dict[str, int] = {}  # when the modules changed that workers may have imported


def pool() -> Any:
    """Return the session's worker processes, as many as this process may use cores.

    They start with the first work, which takes seconds since each imports Torch, and wait for more
    until the session ends. They start anew when a module that they may have imported has changed.
    """
    ages = {name: os.stat(file).st_mtime_ns for name, file in own_modules().items()}
    changed = any(_ages.get(name, age) != age for name, age in ages.items())
    _ages.update(ages)
    return get_reusable_executor(
        timeout=None,
        kill_workers=True,
        reuse=False if changed else "auto",
        initializer=_start_worker,
        initargs=(os.getpid(),),
        env=_ENVIRONMENT,
    )


def own_modules() -> dict[str, str]:
    """Return the files of the imported modules that are neither installed nor built in."""
    files = {name: getattr(m, "__file__", None) for name, m in list(sys.modules.items())}
    return {
        name: file
        for name, file in files.items()
        if isinstance(file, str) and not file.startswith(_INSTALLED) and os.path.exists(file)
        if "dist-packages" not in file and name != "__main__"
    }


def _start_worker(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the session, which then ends us
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent has died, even if it was killed."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let Torch and BLAS use one thread, so that sums are rounded the same everywhere."""
    torch = _torch()
    before = torch.get_num_threads() if torch else 1
    try:
        if torch:
            torch.set_num_threads(1)
        with _libraries().limit(limits=1):
            yield
    finally:
        if torch:
            torch.set_num_threads(before)


def no_gradients() -> contextlib.AbstractContextManager:
    """Let Torch, where it is installed, keep no record for gradients."""
    torch = _torch()
    return torch.no_grad() if torch else contextlib.nullcontext()


def _torch() -> Any:
    with contextlib.suppress(ModuleNotFoundError):
        from mflib._torch import torch

        return torch
    return None


@functools.cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()
