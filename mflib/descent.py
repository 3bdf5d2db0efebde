r"""Mirror descent in discrete time, as a Torch optimizer.

The unit of time is that of the flow: k steps of size :math:`\gamma` take :math:`\eta t = k \gamma`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from mflib._validation import count, function, number
from mflib.mirror_maps import MirrorMap, mirror_map
from mflib.potentials import Potential, Quadratic

__all__ = ["MirrorDescent"]


class MirrorDescent(torch.optim.Optimizer):
    r"""Mirror descent as an optimizer.

    .. math:: \nabla\Phi(\theta_{t+1}) = \nabla\Phi(\theta_t) - \gamma\,\nabla L(\theta_t)

    As the step :math:`\gamma` shrinks the iterates follow the mirror flow of
    :func:`mflib.flow.mirror_flow`: this is the explicit Euler method in the dual variable, of first
    order.

    Parameters
    ----------
    params : iterable of Tensor
        The parameters at initialization, which become the centre of the potential. Those of a
        group added later are centred where they are then; the width stays.
    lr : float
        The step :math:`\gamma > 0`. The loss is the caller's; ``torch.nn.MSELoss`` is not halved.
    potential : Potential, optional
        ``Quadratic()`` if not given, which is gradient descent with the step halved.
    scaled : bool
        Whether the potential acts on :math:`n(\theta - \hat\theta)`.
    center : {"initialization", "origin"}
        "origin" puts the potential at :math:`\theta` itself, for unscaled potentials only.
    width : int, optional
        Number n of hidden units for scaled potentials; if not given, the largest first dimension
        among the parameters.

    Raises
    ------
    ValueError
        If the step is not positive, the centre is unknown or the potential's Hessian vanishes or is
        infinite at the start. In a step: if it leads to parameters that are not finite; then none
        is changed.
    TypeError
        If the potential is not a Potential.

    References
    ----------
    :cite:t:`nemirovsky1983,beck2003mirror`

    Examples
    --------
    >>> net = torch.nn.Linear(2, 1, dtype=torch.float64)
    >>> optimizer = MirrorDescent(net.parameters(), lr=0.1)
    >>> loss = (net(torch.ones(1, 2, dtype=torch.float64)) ** 2).mean()
    >>> loss.backward()
    >>> optimizer.step()
    """

    def __init__(
        self,
        params: Iterable,
        lr: float,
        *,
        potential: Potential | None = None,
        scaled: bool = False,
        center: str = "initialization",
        width: int | None = None,
    ) -> None:
        super().__init__(params, {"lr": _step_size(lr)})
        self.potential = Quadratic() if potential is None else potential
        everything = [p for group in self.param_groups for p in group["params"]]
        widest = max(p.shape[0] if p.ndim else 1 for p in everything)
        self.width = widest if width is None else count("width", width)
        self._place: dict[str, Any] = {"scaled": scaled, "center": center, "width": self.width}
        self.scale = self._centre(everything)[-1].scale

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, with the potential centred where they are now."""
        if isinstance(param_group, dict) and "lr" in param_group:
            param_group = {**param_group, "lr": _step_size(param_group["lr"])}
        super().add_param_group(param_group)
        if not hasattr(self, "_place"):  # Torch adds the first groups before the width is known
            return
        try:
            self._centre(self.param_groups[-1]["params"])
        except Exception:
            self.param_groups.pop()
            raise

    def _centre(self, params: list[torch.Tensor]) -> list[MirrorMap]:
        """Store the centres of parameters, all or none, and return their maps."""
        mirrors = [mirror_map(self.potential, p.detach(), **self._place) for p in params]
        for p, mirror in zip(params, mirrors, strict=True):
            self.state[p] = {"centre": mirror.center}
        return mirrors

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Do one step; a closure is evaluated first, with gradients, and its loss returned."""
        loss = None
        if closure is not None:
            function("closure", closure)
            with torch.enable_grad():
                loss = closure()
        moved = []
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    mirror = MirrorMap(self.potential, self.state[p]["centre"], self.scale)
                    end = mirror.primal(mirror.dual(p) - group["lr"] * p.grad)
                    if not end.isfinite().all():
                        raise ValueError(
                            f"a step with lr={group['lr']:g} from a gradient of up to "
                            f"{float(p.grad.abs().max()):g} is not finite, and no parameter was "
                            "changed; lower lr or check the loss."
                        )
                    moved.append((p, end))
        for p, end in moved:
            p.copy_(end)
        return loss


def _step_size(lr: Any) -> float:
    return number("lr", lr, above=0.0, cure="it is the step size")
