"""Mirror descent as an optimizer of Torch: its options, its state, its steps."""

from __future__ import annotations

import difflib
import itertools
import numbers
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from mflib._torch import torch
from mflib._validation import count, flag, function, number
from mflib.descent import _steps
from mflib.descent._steps import Piece
from mflib.mirror_maps import mirror_map
from mflib.potentials import Potential, Quadratic

__all__ = ["MirrorDescent"]

Tensor = torch.Tensor

_PIECE = 1 << 17  # numbers a thread; what a piece takes stays in the processor's cache


class MirrorDescent(torch.optim.Optimizer):
    r"""Mirror descent as an optimizer.

    .. math:: \nabla\Phi(\theta_{t+1}) = \nabla\Phi(\theta_t) - \gamma\,\nabla L(\theta_t)

    As the step :math:`\gamma` shrinks the iterates follow the mirror flow of
    :func:`mflib.flow.mirror_flow`: this is the explicit Euler method in the dual variable, of first
    order.

    Every option but `params` can also be set for a group of parameters, as in Torch. The state is
    plain data, with the potential's name and parameters; a state of another potential, scale or
    centre is refused when it is loaded. 16-bit parameters are stepped with 32 bits and rounded. A
    zero gradient leaves a parameter exactly where it is.

    Parameters
    ----------
    params : iterable of Tensor or dict
        The parameters at initialization, which become the centre of the potential. Those of a
        group added later are centred where they are then; the width stays.
    lr : float or Tensor
        The step :math:`\gamma > 0`. The loss is the caller's; ``torch.nn.MSELoss`` is not halved.
        Scaled or not, the first step is :math:`-\gamma\,\nabla L / \varphi''(0)`, and a
        :class:`~mflib.networks.ShallowNetwork` of n units takes :math:`\gamma` of the order of
        :math:`\varphi''(0)/n`, or a tenth of it where :math:`\varphi''` decreases from 0, as that
        of Hypentropy does.
    potential : Potential, optional
        ``Quadratic()`` if not given, which is gradient descent with the step halved.
    scaled : bool
        Whether the potential acts on :math:`n(\theta - \hat\theta)`.
    center : {"initialization", "origin"}
        "origin" puts the potential at :math:`\theta` itself, for unscaled potentials only.
    width : int, optional
        Number n of hidden units for scaled potentials; if not given, the largest first dimension
        among the parameters.
    weight_decay : float
        The rate :math:`\lambda \ge 0` of decoupled weight decay [1]_ towards the centre c: a step
        starts at :math:`\theta_t - \gamma\lambda(\theta_t - c)` instead of :math:`\theta_t`, with
        the gradient at :math:`\theta_t`.
    maximize : bool
        Whether to ascend.

    Raises
    ------
    ValueError
        If the step is not positive, the centre is unknown or the potential's Hessian vanishes or is
        infinite at the start. In a step: if it leads to parameters that are not finite; then none
        is changed. When a state is loaded: if it is of another potential, scale or centre.
    TypeError
        If the potential is not a Potential.

    Notes
    -----
    ``Entropy()`` with ``center="origin"`` is exponentiated gradient; on the probability simplex
    follow each step by a division by the sum, ``w /= w.sum()``.

    References
    ----------
    :cite:t:`nemirovsky1983,beck2003mirror`

    .. [1] :cite:t:`loshchilov2019decoupled`

    Examples
    --------
    >>> from mflib.potentials import Hypentropy, Quadratic
    >>> net = torch.nn.Linear(2, 1, dtype=torch.float64)
    >>> groups = [
    ...     {"params": [net.weight], "potential": Hypentropy(0.1)},
    ...     {"params": [net.bias], "potential": Quadratic()},
    ... ]
    >>> optimizer = MirrorDescent(groups, lr=0.1)
    >>> loss = (net(torch.ones(1, 2, dtype=torch.float64)) ** 2).mean()
    >>> loss.backward()
    >>> optimizer.step()
    >>> optimizer.state_dict()["param_groups"][0]["potential"]
    {'name': 'mflib.potentials.Hypentropy', 'params': {'beta': 0.1}}
    """

    def __init__(
        self,
        params: Iterable,
        lr: float | Tensor,
        *,
        potential: Potential | None = None,
        scaled: bool = False,
        center: str = "initialization",
        width: int | None = None,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        options = {
            "lr": lr,
            "potential": Quadratic() if potential is None else potential,
            **{"scaled": scaled, "center": center, "width": None},
            **{"weight_decay": weight_decay, "maximize": maximize},
        }
        super().__init__(params, _checked(options))
        if width is None:
            sizes = [p.shape[0] for group in self.param_groups for p in group["params"] if p.ndim]
            width = max([1, *sizes])
        self.defaults["width"] = count("width", width)
        for group in self.param_groups:
            self._centre(group)

    @property
    def potential(self) -> Potential:
        """The potential of groups that bring none of their own."""
        potential: Potential = self.defaults["potential"]
        return potential

    @property
    def width(self) -> int:
        """The width of groups that bring none of their own."""
        return int(self.defaults["width"])

    @property
    def scale(self) -> float:
        """The factor s of groups that bring none of their own: n if scaled, else 1."""
        return _scale(self.defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, with the potential centred where they are now."""
        if isinstance(param_group, dict):
            _refuse_misspelt(param_group, [*self.defaults])
            own = {name: param_group[name] for name in self.defaults if name in param_group}
            param_group = {**param_group, **_checked(own)}
        super().add_param_group(param_group)
        if self.defaults["width"] is None:  # Torch adds the first groups, __init__ centres them
            return
        try:
            self._centre(self.param_groups[-1])
        except Exception:
            self.param_groups.pop()
            raise

    def _centre(self, group: dict[str, Any]) -> None:
        """Check a group, and store the centres of its parameters, all or none."""
        if group["width"] is None:
            group["width"] = self.defaults["width"]
        place = {name: group[name] for name in ("scaled", "center", "width")}
        with torch.inference_mode(False), torch.no_grad():  # made in any mode, usable in all
            starts = [p.detach().clone() for p in group["params"]]
            for start in starts:
                mirror_map(group["potential"], _wide(start), **place)
        if group["center"] == "initialization":
            for p, start in zip(group["params"], starts, strict=True):
                self.state[p] = {"centre": start}

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Do one step; a closure is evaluated first, with gradients, and its loss returned."""
        loss = None
        if closure is not None:
            function("closure", closure)
            with torch.enable_grad():
                loss = closure()
        moves = [
            self._move(p, group)
            for group in self.param_groups
            for p in group["params"]
            if p.grad is not None
        ]
        # none is changed before all are known to be finite: by a bound, or by being there
        alone = _alone(moves)
        ends = [None if m.p in alone and m.is_bounded() else m.end() for m in moves]
        if not _surely_finite([end for end in ends if end is not None]):
            ends = [m.certain_end(end) for m, end in zip(moves, ends, strict=True)]
        for m, end in zip(moves, ends, strict=True):
            if end is None:
                m.write(m.p)
            else:
                m.p.copy_(end)
        return loss

    def _move(self, p: Tensor, group: dict[str, Any]) -> _Move:
        assert p.grad is not None
        gradient = p.grad.to_dense() if p.grad.is_sparse else p.grad
        # without decay, steps of x^2 are the same around each centre
        fixed = type(group["potential"]) is Quadratic and not group["weight_decay"]
        centred = group["center"] == "initialization" and not fixed
        return _Move(p, gradient, self.state[p]["centre"] if centred else None, group)

    def state_dict(self) -> dict[str, Any]:
        """Return the state, plain data that ``torch.load`` reads with ``weights_only=True``."""
        state = super().state_dict()
        for group in state["param_groups"]:
            group["potential"] = _plain(group["potential"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take a state that is unpickled, or loaded if there is one already."""
        if "param_groups" in self.__dict__:
            pairs = zip(self.param_groups, state["param_groups"], strict=True)
            for k, (own, saved) in enumerate(pairs):
                _check_fit(f"group {k}", own, saved, state["state"])
                saved |= {"potential": own["potential"], "width": own["width"]}
        super().__setstate__(state)


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    """Return options of a group, or raise; the rest is checked with its parameters."""
    checks: dict[str, Callable[[Any], Any]] = {
        "lr": _step_size,
        "scaled": lambda value: flag("scaled", value),
        "width": lambda value: None if value is None else count("width", value),
        "weight_decay": lambda value: number("weight_decay", value, least=0.0, cure="0 is none"),
        "maximize": lambda value: flag("maximize", value),
    }
    return {name: checks.get(name, lambda value: value)(value) for name, value in options.items()}


# what flows call it, or what belongs to a potential
_MISTAKEN = {
    **dict.fromkeys(("learning_rate", "gamma"), "lr"),
    **dict.fromkeys(("beta", "exponent", "omega", "psi", "phi"), "potential"),
}


def _refuse_misspelt(group: dict[str, Any], options: list[str]) -> None:
    """Raise where a key looks like an option, which would keep its default in silence.

    Others are let through, as by Torch: its schedulers' initial_lr, or somebody's own name.
    """
    known = ["params", *options]
    for key in group:
        if not isinstance(key, str) or key in known or key.startswith("_"):
            continue
        close = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.8)
        if meant := _MISTAKEN.get(key, "".join(close)):
            raise ValueError(
                f"a group of parameters has the key {key!r}, which is no option; use {meant!r}, "
                "or a key that begins with an underscore if it is yours. The options are "
                f"{', '.join(options)}."
            )


def _step_size(lr: Any) -> float | Tensor:
    """Return lr, a tensor as it is: who made it may change it."""
    result = number("lr", lr, above=0.0, cure="it is the step size")
    return lr.detach() if isinstance(lr, Tensor) and lr.is_floating_point() else result


def _scale(group: dict[str, Any]) -> float:
    return float(group["width"]) if group["scaled"] else 1.0


def _signed_step(group: dict[str, Any]) -> float:
    return -float(group["lr"]) if group["maximize"] else float(group["lr"])


class _Move(NamedTuple):
    """A parameter and what its next step depends on."""

    p: Tensor
    gradient: Tensor
    centre: Tensor | None  # None where it does not matter, or is the origin
    group: dict[str, Any]

    def is_bounded(self) -> bool:
        """Whether norms show that no number of the step overflows, so that it may be in place."""
        lr, scale = abs(float(self.group["lr"])), _scale(self.group)
        distance = _norm(self.p) + (0.0 if self.centre is None else _norm(self.centre))
        x = (1.0 + lr * self.group["weight_decay"]) * scale * distance
        bound = _steps.bound(self.group["potential"], x, lr * scale * _norm(self.gradient))
        return bound < torch.finfo(self.p.dtype).max

    def end(self, step: Callable[[Potential, Piece], None] = _steps.fused) -> Tensor:
        """Return where the step leads."""
        end = torch.empty_like(self.p, memory_format=torch.contiguous_format)
        self.write(end, step)
        return end

    def write(self, end: Tensor, step: Callable[[Potential, Piece], None] = _steps.fused) -> None:
        """Write to `end`, which may be p, where the step leads, computed with at least 32 bits."""
        p, group, potential = self.p, self.group, self.group["potential"]
        lr, decay = _signed_step(group), float(group["lr"]) * group["weight_decay"]
        if end is p and type(potential) is Quadratic and not decay:  # one pass is all
            p.add_(self.gradient, alpha=-0.5 * lr)
            return
        whole = not p.is_cpu or type(potential) is Quadratic  # nothing in between to keep in cache
        size = p.numel() if whole else _PIECE * torch.get_num_threads()
        for theta, c, gradient, out in _pieces(p, self.centre, self.gradient, end, size=size):
            if decay:
                theta = theta - decay * (theta if c is None else theta - c)
            step(potential, Piece(theta, c, gradient, out, lr, _scale(group)))

    def certain_end(self, end: Tensor | None) -> Tensor | None:
        """Return where the step leads by its definition, or raise if that is nowhere."""
        if end is None:
            return None
        if not end.isfinite().all():
            end = self.end(_steps.plain)
        if not end.isfinite().all():
            raise ValueError(
                f"a step with lr={float(self.group['lr']):g} from a gradient of up to "
                f"{float(self.gradient.abs().max()):g} is not finite, and no parameter was "
                f"changed; lower lr or check the loss{self._usual_step()}."
            )
        return end

    def _usual_step(self) -> str:
        if not self.group["scaled"]:
            return ""
        width, zero = self.group["width"], torch.zeros(1, dtype=torch.float64)
        usual = float(self.group["potential"].hessian(zero)[0]) / width
        return (
            f" (a scaled potential of width n = {width} takes lr of the order of phi''(0)/n = "
            f"{usual:g}, or a tenth of it where phi'' decreases from 0, as that of Hypentropy does)"
        )


def _alone(moves: list[_Move]) -> set[Tensor]:
    """Return parameters on the processor, in one piece, in memory of which nothing else is read."""
    here = [m for m in moves if m.p.is_cpu]
    users = Counter(_memory(x) for m in here for x in (m.p, m.gradient))
    return {m.p for m in here if m.p.is_contiguous() and users[_memory(m.p)] == 1}


def _memory(x: Tensor) -> int:
    return x.untyped_storage().data_ptr()


def _norm(x: Tensor) -> float:
    return torch.linalg.vector_norm(x, dtype=torch.promote_types(x.dtype, torch.float32)).item()


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype.itemsize < 4 else x


def _pieces(
    p: Tensor, centre: Tensor | None, gradient: Tensor, end: Tensor, *, size: int
) -> Iterator[tuple[Tensor, Tensor | None, Tensor, Tensor]]:
    """Cut what a step reads and writes into flat pieces, all but the last with 32 bits or more."""

    def cut(x: Tensor) -> tuple[Tensor, ...]:
        return x.contiguous().view(-1).split(size)

    if not p.numel():
        return
    centres = itertools.repeat(None) if centre is None else cut(centre)
    for theta, c, g, out in zip(cut(p), centres, cut(gradient), cut(end), strict=False):
        if theta.dtype.itemsize < 4:
            theta, c, g = theta.float(), None if c is None else c.float(), g.float()
        yield theta, c, g, out


def _surely_finite(tensors: list[Tensor]) -> bool:
    """Whether the sums are finite; then all entries are, and one number tells."""
    sums = [x.sum(dtype=torch.promote_types(x.dtype, torch.float32)) for x in tensors]
    return not sums or bool(torch.stack([one.to(sums[0]) for one in sums]).sum().isfinite())


# The state as plain data


def _plain(value: Any) -> Any:
    """Return a potential by its name and parameters, these as numbers, strings, lists and dicts."""
    if isinstance(value, Potential):
        params = {name: _plain(param) for name, param in value.get_params().items()}
        return {"name": _name(type(value)), "params": params}
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Real):
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    if isinstance(value, np.ndarray | np.generic | Tensor):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    return _name(value if hasattr(value, "__qualname__") else type(value))


def _name(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def _check_fit(where: str, own: dict[str, Any], saved: dict[str, Any], state: dict) -> None:
    """Raise unless a group's loaded state continues it."""
    for name in ("potential", "scaled", "center", *(["width"] if own["scaled"] else [])):
        if name not in saved:
            raise ValueError(
                f"{where} of the loaded state has no {name}: it is not of a MirrorDescent."
            )
        here, there = _plain(own[name]), _plain(saved[name])
        if here != there:
            raise ValueError(
                f"{where} of the loaded state has {name}={_shown(there)}, this optimizer "
                f"{name}={_shown(here)}; build the optimizer as the saved one was."
            )
    for p in own["params"] if own["center"] == "initialization" else []:
        centre = state.get(p, {}).get("centre")
        if getattr(centre, "shape", None) != p.shape:
            raise ValueError(
                f"{where} of the loaded state has no centre of shape {tuple(p.shape)} for one of "
                "the parameters; load the state of the same network."
            )


def _shown(plain: Any) -> str:
    if not isinstance(plain, dict):
        return repr(plain)
    params = ", ".join(f"{name}={_shown(param)}" for name, param in plain["params"].items())
    return f"{plain['name'].removeprefix('mflib.potentials.')}({params})"
