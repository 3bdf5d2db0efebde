r"""Regression as scikit-learn knows it: what wide networks learn from noisy data, in any units.

Needs scikit-learn: ``pip install "mflib[sklearn]"``. Inputs and targets keep their units; ridges,
times and the scales of potentials belong to the scaled problem and have none.
"""

try:
    import sklearn  # noqa: F401  # as a first import, so that its absence gets this message
except ImportError as error:
    raise ImportError('mflib.sklearn needs scikit-learn: pip install "mflib[sklearn]"') from error

from mflib.sklearn._regressor import MirrorFlowRegressor

__all__ = ["MirrorFlowRegressor"]
