"""A pytest plugin: kernels talk to nbval through files instead of ports.

Two processes that start kernels at once may choose the same port, since each looks for a free one
before its kernel takes it.
"""

import functools
import itertools
import tempfile

import nbval.kernel
from jupyter_client.manager import KernelManager

NUMBERS = itertools.count()


@functools.cache
def folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="k")  # a socket's path has at most 103 characters


def kernel_manager(**options) -> KernelManager:
    return KernelManager(transport="ipc", ip=f"{folder().name}/{next(NUMBERS)}", **options)


nbval.kernel.KernelManager = kernel_manager


def pytest_unconfigure() -> None:
    """Remove the folder: xdist's workers may end without a chance to."""
    if folder.cache_info().currsize:
        folder().cleanup()
