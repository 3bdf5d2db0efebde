"""A pytest plugin: kernels talk to nbval through files instead of ports.

Two processes that start kernels at once may choose the same port, since each looks for a free one
before its kernel takes it.
"""

import itertools
import tempfile

import nbval.kernel
from jupyter_client.manager import KernelManager

FOLDER = tempfile.TemporaryDirectory(prefix="k")  # a socket's path has at most 103 characters
NUMBERS = itertools.count()


def kernel_manager(**options) -> KernelManager:
    return KernelManager(transport="ipc", ip=f"{FOLDER.name}/{next(NUMBERS)}", **options)


nbval.kernel.KernelManager = kernel_manager
