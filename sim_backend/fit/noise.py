"""Read noise and random-telegraph traps from repeated reads: a mixture of quiet cells and cells with a trap."""

from __future__ import annotations

import numpy as np

from rmhil.backend import Floats
from rmhil.units import Siemens
from sim_backend.fit.population import Unknown
from sim_backend.fit.report import Findings, Residual
from sim_backend.fit.statistics import SmallFit, most_likely
from sim_backend.fit.tables import Table

_READS_MIN = 5
"""1: readings of a cell below which its scatter says nothing."""

_DEPTHS = np.geomspace(3e-4, 0.3, 20)
"""1: steps of a trap over which its unknown one is summed."""

_OCCUPANCIES = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
"""1: shares of the time in the upper level, likewise: a slow trap is not seen in balance."""

_FITTED = 2
"""1: numbers fitted to each cell's readings: mean and drift."""

_TURNS = 3
"""1: turns of noise and traps; the second changes neither by a tenth of its error."""

INSTRUMENT_NOISE: Siemens = 25e-9
"""S: 5 nA (resolution of a B1500A's 100 uA range) at 0.2 V, where the reads do not say better."""


def fit_reads(reads: Table, found: Findings) -> Siemens:
    """Read noise, telegraph share and depth.

    Returns:
        S, noise of one reading that does not go with the conductance.
    """
    names, cell, counts = np.unique(reads.cell, return_inverse=True, return_counts=True)
    enough = counts >= _READS_MIN
    if enough.sum() < 2:
        found.leave(_NAMES, f"needs at least {_READS_MIN} repeated reads of 2 cells")
        return INSTRUMENT_NOISE
    series = [_one_cell(reads, cell == place) for place in np.flatnonzero(enough)]
    relative = np.sqrt(np.median([away.var() * away.size / (away.size - _FITTED) * used for _, away, used in series]))
    mixture = _Mixture(series)
    noise, traps, quiet = mixture.fit(found, max(float(relative), 1e-5))
    calm = quiet > 0.5
    found.restless = {str(name) for name in names[enough][~calm]}
    if not calm.all():
        found.notes.append(
            f"{int((~calm).sum())} of {calm.size} cells read again and again show a random-telegraph trap"
            + " and are left out of the rates"
        )
    cells = int(enough.sum())
    for fit, name in ((noise, "read_noise"), (traps, "telegraph_share"), (traps, "telegraph_depth")):
        place = [unknown.name for unknown in fit.unknowns].index(name)
        if fit.determined[place]:
            source = f"repeated reads of {cells} cells"
            found.add(name, fit[name], float(fit.errors[place]), source, cells, log=True)
        else:
            found.leave([name], "too few cells with a trap among those read again and again")
    found.residuals.append(
        _residual(
            names[enough][calm],
            [one for one, still in zip(series, calm, strict=True) if still],
            noise["read_noise"],
            noise["instrument"],
        )
    )
    return noise["instrument"]


_NAMES = ("read_noise", "telegraph_share", "telegraph_depth")


def _one_cell(reads: Table, chosen: np.ndarray) -> tuple[float, Floats, float]:
    """Mean (S), relative deviations from a drift with the logarithm of time, and readings averaged for each."""
    rows = np.flatnonzero(chosen)
    rows = rows[np.argsort(reads["read"][rows])]
    values = reads["conductance_siemens"][rows]
    mean = float(values.mean())
    decades = np.log10(1.0 + np.arange(rows.size))  # reads come one after the other
    away = decades - decades.mean()
    drift = float(away @ values) / float(away @ away)
    return mean, (values - mean - drift * away) / mean, float(reads["averages"][rows].mean())


class _Mixture:
    """Likelihood of all cells' deviations."""

    def __init__(self, series: list[tuple[float, Floats, float]]) -> None:
        self._means = np.array([mean for mean, _, _ in series])
        self._averages = np.array([used for _, _, used in series])
        self._counts = np.array([away.size for _, away, _ in series])
        self._away = np.zeros((len(series), int(self._counts.max())))
        for row, (_, away, _) in zip(self._away, series, strict=True):
            row[: away.size] = away
        self._there = np.arange(self._away.shape[1]) < self._counts[:, None]

    def fit(self, found: Findings, relative: float) -> tuple[SmallFit, SmallFit, Floats]:
        """Noise from the cells as far as they are quiet, traps given the noise, in turns; how quiet each cell is."""
        start, quiet = found.start, np.ones(len(self._means))
        noise_unknowns = (
            Unknown(name="read_noise", start=relative, width=1.0, log=True, centre=start.read_noise),
            Unknown(name="instrument", start=INSTRUMENT_NOISE, width=1.0, log=True),
        )
        trap_unknowns = (
            Unknown(name="telegraph_share", start=max(start.telegraph_share, 0.02), width=1.5, log=True),
            Unknown(name="telegraph_depth", start=max(start.telegraph_depth, 1e-3), width=1.0, log=True),
        )
        for _ in range(_TURNS):
            weights = quiet
            noise = most_likely(lambda values: self._noise_loss(values, weights), noise_unknowns)  # noqa: B023
            variance = (noise["read_noise"] ** 2 + (noise["instrument"] / self._means) ** 2) / self._averages
            excess = np.stack([self._trapped(variance, up) for up in _OCCUPANCIES])  # (occupancy, cell, depth)
            traps = most_likely(lambda values: -float(_gain(excess, values)[0].sum()), trap_unknowns)  # noqa: B023
            quiet = _gain(excess, traps.values)[1]
        return noise, traps, quiet

    def _noise_loss(self, values: Floats, quiet: Floats) -> float:
        variance = (values[0] ** 2 + (values[1] / self._means) ** 2) / self._averages
        square = (self._away**2).sum(axis=1) / variance
        return float(0.5 * quiet @ (square + (self._counts - _FITTED) * np.log(variance)))

    def _trapped(self, variance: Floats, up: float) -> Floats:
        """Log likelihood over that of a quiet cell, (cell, depth)."""
        away, scale = self._away[:, :, None], variance[:, None, None]
        # Readings in the upper level lie (1 - up) d above the mean, the others up d below it.
        high, low = (1.0 - up) * _DEPTHS, -up * _DEPTHS
        above = np.log(up) + (away * high - 0.5 * high**2) / scale
        below = np.log1p(-up) + (away * low - 0.5 * low**2) / scale
        logs = np.logaddexp(above, below) * self._there[:, :, None]
        result: Floats = logs.sum(axis=1)
        return result


def _gain(excess: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Log likelihood of each cell over that of a quiet one, and how likely it is quiet.

    Args:
        excess: 1, log likelihood over that of a quiet cell, (occupancy, cell, depth).
        values: share of the cells with a trap, mean depth.
    """
    share, depth = min(float(values[0]), 0.999), float(values[1])
    prior = np.exp(-_DEPTHS / depth) * _DEPTHS
    prior /= max(float(prior.sum()), 1e-300)
    top = excess.max(axis=(0, 2))
    inside = (np.exp(excess - top[:, None]).mean(axis=0) * prior).sum(axis=1)
    trapped = np.log(share) + top + np.log(np.maximum(inside, 1e-300))
    total = np.logaddexp(np.log1p(-share), trapped)
    return total, np.exp(np.log1p(-share) - total)


def _residual(
    names: np.ndarray, series: list[tuple[float, Floats, float]], noise: float, instrument: float
) -> Residual:
    """Scatter of each cell against its conductance."""
    mean = np.array([one for one, _, _ in series])
    used = np.array([one for _, _, one in series])
    count = np.array([away.size for _, away, _ in series])
    modelled = np.sqrt((noise * mean) ** 2 + instrument**2) / np.sqrt(used)
    measured = np.array([away.std(ddof=_FITTED) for _, away, _ in series]) * mean
    return Residual(
        part="repeated reads", cell=names, measured=measured, modelled=modelled,
        expected=modelled / np.sqrt(2.0 * (count - _FITTED)), along=mean, label="mean conductance (S)",
    )  # fmt: skip
