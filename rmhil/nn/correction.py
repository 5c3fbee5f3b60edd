"""Digital correction of the lines: a factor for each input and a gain for each sensed current.

Resistance of lines and routing takes 15-30 % of the currents, differently in every row and column.
What is separable in that is taken back where the host scales numbers anyway: inputs before the DAC, currents
after the ADC. What is left stays in the layer's measured weight, which the backward pass uses.
"""

from __future__ import annotations

import numpy as np

from rmhil.backend import Floats

_ROUNDS = 8
"""1: alternations between inputs and outputs; from the seventh on, gains of a 128 x 128 tile move by less than 1e-5."""

_RIDGE = 1e-3
"""1, relative to the mean energy of a column: keeps a factor at its start where the weights do not determine it."""


def fit_gains(matrix: Floats, wanted: Floats, readout: Floats) -> tuple[Floats, Floats]:
    """Input factors r and readout gains D for which `D @ matrix.T @ diag(r)` is closest to the wanted weights.

    Args:
        matrix: S, measured, shape `(n_bl, n_sl)`.
        wanted: weights, shape `(n_out, n_bl)`.
        readout: 1/S, shape `(n_out, n_sl)`: the gains without correction. Zeros stay zero; every output uses the
            same number of SLs.

    Returns:
        r, shape `(n_bl,)`, largest magnitude 1; D, shape `(n_out, n_sl)`. If the matrix is what the mapping meant it
        to be, they are ones and `readout`.
    """
    factors, gains = np.ones(len(matrix)), readout
    alike = float(np.sum((matrix @ readout.T) * wanted.T))
    if alike <= 0.0:  # weights of zero, or a tile that holds nothing like them
        return factors, gains
    gains = readout * alike / float(np.sum((matrix @ readout.T) ** 2))
    for _ in range(_ROUNDS):
        gains = _fit_outputs(matrix * factors[:, None], wanted, gains)
        factors = _fit_inputs(matrix @ gains.T, wanted)
        top = float(np.abs(factors).max())
        factors, gains = factors / top, gains * top
    return factors, gains


def _fit_outputs(matrix: Floats, wanted: Floats, gains: Floats) -> Floats:
    """Least squares over the gains of each output, held to one common factor of their start where undetermined."""
    plain = gains @ matrix.T
    energy = np.sum(plain * plain, axis=1)
    ridge = _RIDGE * float(energy.mean()) + np.finfo(float).tiny
    start = gains * ((np.sum(plain * wanted, axis=1) + ridge) / (energy + ridge))[:, None]
    rows, used = (index.reshape(len(gains), -1) for index in np.nonzero(gains))
    columns = matrix.T[used]  # (n_out, SLs of one output, n_bl)
    gram = columns @ columns.swapaxes(1, 2)
    trace = np.trace(gram, axis1=1, axis2=2) / gram.shape[1] + np.finfo(float).tiny
    gram += _RIDGE * trace[:, None, None] * np.eye(gram.shape[1])
    rest = wanted - start @ matrix.T
    fitted = start.copy()
    fitted[rows, used] += np.linalg.solve(gram, columns @ rest[:, :, None])[:, :, 0]
    return np.asarray(fitted)


def _fit_inputs(effective: Floats, wanted: Floats) -> Floats:
    energy = np.sum(effective * effective, axis=1)
    ridge = _RIDGE * float(energy.mean()) + np.finfo(float).tiny
    return np.asarray((np.sum(effective * wanted.T, axis=1) + ridge) / (energy + ridge))
