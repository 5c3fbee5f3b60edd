"""Populations: what all cells have in common and how far they differ, by maximum likelihood.

Each unit (a cell, or one sweep of a cell) has a few standard normal latent numbers; the law of the
unit turns them and the population's parameters into the likelihood of its data. The latent numbers are integrated
out by Laplace's method, so a spread is that of the cells and not of their estimates. Weak priors
around the start values keep what the data do not say from running away; a parameter is determined where the data
narrow its prior.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch

from rmhil.backend import Floats

Loss: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(latent numbers (units, latent), parameters (units, parameters)) -> minus log likelihood (units,)."""

DETERMINED = 0.5
"""1: standard error over the prior's width below which a parameter counts as determined by the data (0.5: three
quarters of what is known of it come from the data)."""

_OUTER_STEPS = 60
_INNER_STEPS = 12
_INNER_GAIN_MIN = 1e-6
"""1: expected gain in log likelihood of any unit at which the search of its latent numbers ends."""

_GAIN_MIN = 2e-3
"""1: expected gain in log likelihood at which the search ends: 0.06 standard errors from the best point."""

_STEP_MAX = 2.0
"""1: longest step of a latent number, in standard deviations of the population, and of a parameter in prior widths."""

_CURVATURE_MIN = 0.1
"""1: least curvature of a unit's loss along any latent direction that a step trusts; the prior alone gives 1."""

_DIFFERENCE = 0.1
"""1: step of the differences that give the final curvature, in standard errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """One parameter of a population.

    Attributes:
        name: of the field of `DevicePreset`, or of a nuisance.
        start: value at which the search starts, in its own unit.
        width: how far from there it may well be: relative where `log`, else in its unit.
        log: the parameter is positive and searched by its logarithm.
        centre: what the weak prior is centred on; None means the start.
    """

    name: str
    start: float
    width: float
    log: bool = False
    centre: float | None = None

    @property
    def centre_or_start(self) -> float:
        """What the weak prior is centred on."""
        return self.start if self.centre is None else self.centre

    def inner(self, value: float) -> float:
        """The value in the coordinate of the search."""
        return math.log(value) if self.log else value


@dataclass(frozen=True, slots=True, kw_only=True)
class PopulationFit:
    """Parameters of a population.

    Attributes:
        unknowns: what was searched for, in order.
        values: 1 each, in the units of the unknowns.
        covariance: in the search's coordinates (logarithms where `log`); zero rows for what was held.
        determined: bool each.
        latent: (units, latent), the most likely latent numbers.
        latent_error: (units, latent), their standard deviations given the population.
        loss: minus the logarithm of the marginal likelihood, prior left out.
    """

    unknowns: tuple[Unknown, ...]
    values: Floats
    covariance: Floats
    determined: tuple[bool, ...]
    latent: Floats
    latent_error: Floats
    loss: float

    def __getitem__(self, name: str) -> float:
        return float(self.values[self.place(name)])

    def place(self, name: str) -> int:
        """Position of a parameter."""
        return [unknown.name for unknown in self.unknowns].index(name)


def fit_population(loss: Loss, units: int, latent: int, unknowns: Sequence[Unknown]) -> PopulationFit:
    """Find the most likely population; what the data do not determine is set to its centre and held.

    Args:
        loss: of the units' data, differentiable.
        units: how many.
        latent: standard normal numbers of each.
        unknowns: parameters of the population.
    """
    search = _Search(loss, units, latent, unknowns)
    free = np.ones(len(unknowns), dtype=bool)
    place = np.array([unknown.inner(unknown.start) for unknown in unknowns])
    while True:
        place = search.best(place, free)
        covariance = search.covariance(place, free)
        error = np.sqrt(np.diag(covariance)) / search.widths
        loose = free & (error > DETERMINED)
        if not loose.any():
            return search.result(place, covariance, free)
        # One at a time, the least known first: two may be known once one of them is held.
        worst = int(np.argmax(np.where(loose, error, -np.inf)))
        free[worst] = False
        place[worst] = search.centres[worst]


class _Search:
    """The marginal likelihood of one population, its slopes and its best point."""

    def __init__(self, loss: Loss, units: int, latent: int, unknowns: Sequence[Unknown]) -> None:
        self._loss, self._units, self._latent = loss, units, latent
        self._unknowns = tuple(unknowns)
        self._log = torch.tensor([unknown.log for unknown in unknowns])
        self.widths = np.array([unknown.width for unknown in unknowns])
        self.centres = np.array([one.inner(one.centre_or_start) for one in unknowns])
        self._modes = torch.zeros((units, latent), dtype=torch.float64)

    def _natural(self, place: torch.Tensor) -> torch.Tensor:
        return torch.where(self._log, place.clamp(-60.0, 60.0).exp(), place)

    def _joint(self, eta: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        return self._loss(eta, self._natural(place)) + 0.5 * eta.square().sum(dim=1)

    def _slopes(self, eta: torch.Tensor, place: torch.Tensor, graph: bool) -> tuple[torch.Tensor, ...]:
        """Loss (units,), slope (units, latent) and curvature (units, latent, latent) by the latent numbers."""
        joint = self._joint(eta, place)
        (slope,) = torch.autograd.grad(joint.sum(), eta, create_graph=True)
        rows = [
            torch.autograd.grad(slope[:, i].sum(), eta, create_graph=graph, retain_graph=True)[0]
            for i in range(self._latent)
        ]
        return joint, slope, torch.stack(rows, dim=1)

    def _find_modes(self, place: torch.Tensor) -> torch.Tensor:
        """Most likely latent numbers of every unit: Newton's method with halved steps where one goes up."""
        eta = self._modes.clone()
        for _ in range(_INNER_STEPS):
            eta = eta.detach().requires_grad_(True)
            joint, slope, curvature = self._slopes(eta, place, graph=False)
            values, vectors = torch.linalg.eigh(curvature.detach())
            along = (vectors.mT @ slope.detach()[:, :, None]) / values.abs().clamp_min(_CURVATURE_MIN)[:, :, None]
            step = -(vectors @ along)[:, :, 0]
            step = step * (_STEP_MAX / step.norm(dim=1, keepdim=True).clamp_min(_STEP_MAX))
            eta = self._descend(eta.detach(), step, joint.detach(), place)
            if float((-step * slope.detach()).sum(dim=1).max()) < _INNER_GAIN_MIN:
                break
        self._modes = eta.detach()
        return self._modes

    @torch.no_grad()
    def _descend(self, eta: torch.Tensor, step: torch.Tensor, joint: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        share = torch.ones((self._units, 1), dtype=torch.float64)
        for _ in range(8):
            worse = self._joint(eta + share * step, place) > joint + 1e-9 * joint.abs()
            if not bool(worse.any()):
                break
            share = torch.where(worse[:, None], 0.5 * share, share)
        else:
            share = torch.where(worse[:, None], torch.zeros_like(share), share)
        return eta + share * step

    def marginal(self, place: Floats) -> tuple[Floats, Floats]:
        """Minus log marginal likelihood of every unit and its slopes, (units,) and (units, parameters)."""
        spread = torch.from_numpy(np.tile(place, (self._units, 1))).requires_grad_(True)
        eta = self._find_modes(spread.detach()).clone().requires_grad_(True)
        _, slope, curvature = self._slopes(eta, spread, graph=True)
        # One step that is zero at the mode, and whose own slopes are those of the mode.
        held = torch.linalg.pinv(curvature.detach(), hermitian=True)
        moved = eta.detach() - (held @ slope[:, :, None])[:, :, 0]
        joint, _, curvature = self._slopes(moved, spread, graph=True)
        sign, volume = torch.linalg.slogdet(curvature)
        value = joint + 0.5 * torch.where(sign > 0, volume, torch.zeros_like(volume))
        (slopes,) = torch.autograd.grad(value.sum(), spread)
        return value.detach().numpy(), slopes.numpy()

    def _prior(self, place: Floats) -> tuple[float, Floats, Floats]:
        away = (place - self.centres) / self.widths
        return 0.5 * float(away @ away), away / self.widths, np.diag(self.widths**-2.0)

    def best(self, place: Floats, free: np.ndarray) -> Floats:
        """The best point, by scoring: the curvature is taken from the units' slopes."""
        values, slopes = self.marginal(place)
        prior, pull, stiff = self._prior(place)
        total, trust = float(values.sum()) + prior, 1.0
        for _ in range(_OUTER_STEPS):
            slope = (slopes.sum(axis=0) + pull)[free]
            # Far from the best point the scores are large: less of them is then nearer the true curvature.
            information = (slopes.T @ slopes / trust + stiff)[np.ix_(free, free)]
            step = np.zeros_like(place)
            step[free] = -np.linalg.solve(information, slope)
            expected = -0.5 * float(slope @ step[free])
            step *= min(1.0, _STEP_MAX / max(float(np.max(np.abs(step) / self.widths)), 1e-300))
            modes = self._modes
            values, new_slopes = self.marginal(place + step)
            prior, new_pull, _ = self._prior(place + step)
            gain = total - float(values.sum()) - prior
            if gain > 0:
                place, slopes, pull, total = place + step, new_slopes, new_pull, total - gain
                trust *= 2.0 if gain > 0.8 * expected else 1.0
            else:
                trust /= 6.0
                self._modes = modes  # those found further away may belong to another maximum
            if expected < _GAIN_MIN or trust < 1e-6:
                break
        return place

    def covariance(self, place: Floats, free: np.ndarray) -> Floats:
        """Of the free parameters, from curvature and scatter of the units' slopes, prior included."""
        _, slopes = self.marginal(place)
        _, _, stiff = self._prior(place)
        scores = (slopes.T @ slopes + stiff)[np.ix_(free, free)]
        errors = np.sqrt(np.diag(np.linalg.inv(scores)))
        chosen = np.flatnonzero(free)
        curvature = np.zeros((chosen.size, chosen.size))
        for row, (one, error) in enumerate(zip(chosen, errors, strict=True)):
            shift = np.zeros_like(place)
            shift[one] = _DIFFERENCE * error
            curvature[row] = (self.marginal(place + shift)[1] - slopes).sum(axis=0)[chosen] / shift[one]
        curvature = 0.5 * (curvature + curvature.T) + stiff[np.ix_(free, free)]
        full = np.zeros((place.size, place.size))
        full[np.ix_(free, free)] = _sandwich(curvature, scores)
        return full

    def result(self, place: Floats, covariance: Floats, free: np.ndarray) -> PopulationFit:
        """Everything that is told of the best point."""
        values, _ = self.marginal(place)
        spread = torch.from_numpy(np.tile(place, (self._units, 1)))
        eta = self._modes.clone().requires_grad_(True)
        _, _, curvature = self._slopes(eta, spread, graph=False)
        inverse = torch.linalg.pinv(curvature.detach(), hermitian=True)
        return PopulationFit(
            unknowns=self._unknowns,
            values=self._natural(torch.from_numpy(place)).numpy(),
            covariance=covariance,
            determined=tuple(bool(one) for one in free),
            latent=self._modes.numpy(),
            latent_error=inverse.diagonal(dim1=1, dim2=2).clamp_min(0.0).sqrt().numpy(),
            loss=float(values.sum()),
        )


def _sandwich(curvature: Floats, scores: Floats) -> Floats:
    """Covariance from the curvature and the scatter of the units' slopes; it holds for a quasi-likelihood as well."""
    if np.linalg.eigvalsh(curvature).min() <= 0:
        return np.asarray(np.linalg.inv(scores))
    inverse = np.linalg.inv(curvature)
    return np.asarray(inverse @ scores @ inverse)
