"""The losses of `losses` and `list_losses` for torch tensors; the gradients are torch's.

The same formulas, shapes and means; `tests/rewards/test_losses_torch.py` holds both against each other. Import
this module only where torch is installed.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

_NEVER = -1e30


def masked_mse(prediction: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error over the entries where `mask` is true; 0 when there is none."""
    error = torch.where(mask, prediction - torch.where(mask, value, torch.zeros_like(value)), 0.0)
    return (error**2).sum() / mask.sum().clamp(min=1)


def soft_bradley_terry(delta: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """softplus(d) - t·d, weighted mean."""
    return _mean(softplus(delta) - target * delta, weight)


def margin_bradley_terry(
    delta: Tensor, sign: Tensor, margin: Tensor | float, weight: Tensor | None = None
) -> Tensor:
    """softplus(margin - y·d), weighted mean; margin 0 is Bradley-Terry, weights w·m make it the scaled one."""
    return _mean(softplus(margin - sign * delta), weight)


def rao_kupper(delta: Tensor, outcome: Tensor, nu: Tensor, weight: Tensor | None = None) -> Tensor:
    """Likelihood with ties; `nu` > 0 may be learnt."""
    second, first = softplus(nu - delta), softplus(nu + delta)
    tie = second + first - (2.0 * nu + torch.log(-torch.expm1(-2.0 * nu)))
    return _mean(torch.where(outcome > 0, second, torch.where(outcome < 0, first, tie)), weight)


def centring(first: Tensor, second: Tensor) -> Tensor:
    """Mean of (r(first) + r(second))²."""
    return ((first + second) ** 2).mean()


def plackett_luce(scores: Tensor, rank: Tensor, mask: Tensor, weight: Tensor | None = None) -> Tensor:
    """Negative log-likelihood of padded rankings (n, K), ties after Breslow."""
    risk = mask[:, :, None] & mask[:, None, :] & (rank[:, None, :] >= rank[:, :, None])
    logsum = torch.where(risk, scores[:, None, :], _NEVER).logsumexp(dim=2)
    return _mean(torch.where(mask, logsum - scores, 0.0).sum(dim=1), weight)


def lipo_lambda(scores: Tensor, gain: Tensor, mask: Tensor, weight: Tensor | None = None) -> Tensor:
    """LiPO-λ over padded lists (n, K); Δ is a constant of the step."""
    with torch.no_grad():
        order = torch.where(mask, scores, -torch.inf).argsort(dim=1, descending=True, stable=True)
        place = order.argsort(dim=1).to(scores.dtype) + 1.0
        merit, discount = 2.0**gain, 1.0 / torch.log1p(place)
        better = mask[:, :, None] & mask[:, None, :] & (gain[:, :, None] > gain[:, None, :])
        delta = (merit[:, :, None] - merit[:, None, :]).abs() * (
            discount[:, :, None] - discount[:, None, :]
        ).abs()
        delta = torch.where(better, delta, 0.0)
        if weight is not None:
            delta = delta * weight[:, None, None]
        total = delta.sum()
    short = scores[:, None, :] - scores[:, :, None]
    return (delta * softplus(short)).sum() / total.clamp(min=torch.finfo(scores.dtype).tiny)


def bco(reward: Tensor, up: Tensor, shift: float, weight: Tensor | None = None) -> Tensor:
    """softplus(-(r - δ)) for thumbs up, softplus(r - δ) for thumbs down, weighted mean."""
    return _mean(softplus(torch.where(up, shift - reward, reward - shift)), weight)


def _mean(loss: Tensor, weight: Tensor | None) -> Tensor:
    return loss.mean() if weight is None else (weight * loss).sum() / weight.sum()
