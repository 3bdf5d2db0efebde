"""A pytest plugin: how nbval starts its kernels, and compares figures.

Kernels talk to nbval through files instead of ports. Two processes that start kernels at once may
choose the same port, since each looks for a free one before its kernel takes it. They import mflib
from this repository.

Figures are compared by what they draw, up to a tolerance (see tools.pictures).
"""

import functools
import itertools
import tempfile
from itertools import zip_longest

import nbval.kernel
from jupyter_client.manager import KernelManager
from nbval.plugin import IPyNbCell

from tools import pictures
from tools.chapters import ROOT, kernel_environment

NUMBERS = itertools.count()


@functools.cache
def folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="k")  # a socket's path has at most 103 characters


class Manager(KernelManager):
    def __init__(self, **options):
        super().__init__(transport="ipc", ip=f"{folder().name}/{next(NUMBERS)}", **options)

    def start_kernel(self, **options) -> None:
        options = {"env": kernel_environment(ROOT), **options}
        super().start_kernel(extra_arguments=pictures.KERNEL_OPTIONS, **options)


def compare_outputs(cell, test, ref, skip_compare=None, compare_rest=IPyNbCell.compare_outputs):
    """Compare text as nbval does, and figures by what they draw."""
    if any(figures(ref)):  # an SVG that does not say what it draws is text
        skip_compare = (*(skip_compare or cell.parent.skip_compare), "image/svg+xml")
    if not compare_rest(cell, test, ref, skip_compare):
        return False
    pairs = zip_longest(figures(ref), figures(test), fillvalue=())
    faults = [fault for pair in pairs if (fault := pictures.difference(*pair))]
    cell.comparison_traceback += [f"figure: {fault}; run `make notebooks`" for fault in faults]
    return not faults


def figures(outputs) -> list[list[str]]:
    """Return what the figures among some outputs draw; nothing where that was not stored."""
    kinds = {"image/png", "image/svg+xml"}
    shown = [output for output in outputs if kinds.intersection(output.get("data", {}))]
    return [output.get("metadata", {}).get(pictures.DRAWN, []) for output in shown]


nbval.kernel.KernelManager = Manager
IPyNbCell.compare_outputs = compare_outputs


def pytest_unconfigure() -> None:
    """Remove the folder: xdist's workers may end without a chance to."""
    if folder.cache_info().currsize:
        folder().cleanup()
