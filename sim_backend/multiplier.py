"""MVMs: DAC, lines, cells, TIA and ADC of every pass, summed digitally.

Everything between the converters is counted in their codes, and the products do the scaling. The noise of the cells is
added to the currents with the variance of all of them together, which is a second product, of the squares of the
inputs (see `sim_backend.cell_noise`). A call allocates nothing but its result.
"""

from __future__ import annotations

from contextlib import nullcontext
from threading import Lock
from typing import Final

import torch

from rmhil.backend import ArraySpec, Ints, MvmResult
from rmhil.errors import ConfigError, ShapeError
from rmhil.line_solver import one_thread
from rmhil.units import Seconds
from sim_backend.chip import Chip
from sim_backend.config import SimConfig
from sim_backend.nonlinear import CellCurve, nonlinear_excess
from sim_backend.passes import Buffers, Plan, Step
from sim_backend.periphery import Periphery

_FEW_PRODUCTS: Final = 1 << 21
"""Products of an MVM below which one thread is quickest."""

_PLANS_KEPT: Final = 64
"""Sets of lines and arrays whose plans are kept; the oldest gives way."""

_AS_IT_IS: Final = nullcontext()


class Multiplier:
    """The data plane of one simulated backend."""

    def __init__(self, spec: ArraySpec, config: SimConfig, chip: Chip, periphery: Periphery) -> None:
        self._spec = spec
        self._chip = chip
        self._device, self._dtype = chip.device, chip.dtype
        self._periphery = periphery
        self._cells_are_noisy = config.has("read-noise") or config.has("telegraph")
        self._scale = spec.wiring.dac_lsb / spec.wiring.adc_lsb
        self._floor = torch.tensor(periphery.adc_noise**2, dtype=chip.dtype, device=chip.device)
        self._never = torch.zeros((), dtype=torch.bool, device=chip.device)
        self._plans: dict[tuple[bytes, bytes, bytes], Plan] = {}
        self._whole: Plan | None = None
        self._buffers = Buffers(periphery.noise, chip.dtype, chip.device)
        self._lock = Lock()

    def multiply(
        self, bl_voltages: torch.Tensor, bl: Ints, sl: Ints, arrays: Ints, out: MvmResult | None = None
    ) -> tuple[MvmResult, Seconds]:
        """Run the passes of an MVM that `check_mvm` has let through.

        Args:
            bl_voltages: V, (arrays, batch, BLs).
            bl: numbers of the driven lines.
            sl: numbers of the sensed lines.
            arrays: numbers of the arrays.
            out: takes the result; None makes new tensors.

        Returns:
            The result, and the time in s that the board would take.

        Raises:
            ShapeError: `out` does not fit; nothing was driven.
            ConfigError: `out` lies where the voltages do; nothing was driven.
        """
        volts = bl_voltages.detach()
        if volts.dtype != self._dtype or volts.device != self._device:
            volts = volts.to(device=self._device, dtype=self._dtype)
        vectors = volts.shape[1]
        if out is not None:
            self._check_out(out, (arrays.size, vectors, sl.size))
            _check_apart(out, bl_voltages)
        if not arrays.size * vectors:
            return self._empty((arrays.size, vectors, sl.size)) if out is None else out, 0.0
        with self._lock:
            plan = self._plan(bl, sl, arrays)
            few = plan.products * vectors < _FEW_PRODUCTS and torch.get_num_threads() > 1
            with one_thread() if few else _AS_IT_IS:
                if plan.one_pass and vectors <= plan.at_once:
                    result = self._one_pass(plan, volts, out)
                else:
                    result = self._empty((arrays.size, vectors, sl.size)) if out is None else out
                    self._all_passes(plan, volts, result)
        return result, plan.seconds * vectors

    def _empty(self, shape: tuple[int, int, int]) -> MvmResult:
        return MvmResult(self._floor.new_empty(shape), self._never.new_empty(shape))

    def _check_out(self, out: MvmResult, shape: tuple[int, int, int]) -> None:
        for name, kind in (("currents", self._dtype), ("over_range", torch.bool)):
            given: torch.Tensor = getattr(out, name)
            if given.shape != shape or given.dtype != kind or given.device != self._device:
                expected = f"{shape}, {kind} on {self._device}, not {given.dtype} on {given.device}"
                raise ShapeError(f"out.{name}", tuple(given.shape), expected)

    def _plan(self, bl: Ints, sl: Ints, arrays: Ints) -> Plan:
        if (arrays.size, bl.size, sl.size) == self._spec.shape:  # ascending and without repeats, so all of them
            if self._whole is None:
                self._whole = self._new_plan(bl, sl, arrays)
            return self._whole
        key = (bl.tobytes(), sl.tobytes(), arrays.tobytes())
        if key not in self._plans:
            if len(self._plans) == _PLANS_KEPT:
                del self._plans[next(iter(self._plans))]
            self._plans[key] = self._new_plan(bl, sl, arrays)
        return self._plans[key]

    def _new_plan(self, bl: Ints, sl: Ints, arrays: Ints) -> Plan:
        return Plan(self._spec, self._periphery, bl, sl, arrays.copy())  # torch takes in no array that is read only

    def _one_pass(self, plan: Plan, volts: torch.Tensor, out: MvmResult | None) -> MvmResult:
        (step,) = self._buffers.steps(plan, volts.shape[1])
        codes, beyond = self._run(plan, step, volts)
        if out is None:
            currents = torch.mul(codes, self._periphery.adc_lsb)
            return MvmResult(currents, self._never.new_zeros(currents.shape) if beyond is None else beyond)
        torch.mul(codes, self._periphery.adc_lsb, out=out.currents)
        out.over_range.copy_(self._never if beyond is None else beyond)
        return out

    def _all_passes(self, plan: Plan, volts: torch.Tensor, result: MvmResult) -> None:
        """All passes, on as many vectors at once as the buffers may hold, summed in `result`."""
        result.over_range.zero_()
        if not plan.groups:
            result.currents.zero_()
            return
        for start in range(0, volts.shape[1], plan.at_once):
            part = slice(start, start + plan.at_once)
            given, currents, over_range = volts[:, part], result.currents[:, part], result.over_range[:, part]
            for step in self._buffers.steps(plan, given.shape[1]):
                codes, beyond = self._run(plan, step, given)
                where = step.group.columns.where
                step.add_to(currents[..., where], codes)
                if beyond is not None:
                    over_range[..., where] |= step.by_bank(beyond).any(dim=1)
        result.currents.mul_(self._periphery.adc_lsb)

    def _run(self, plan: Plan, step: Step, volts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The passes of one step: codes of the ADC, and where they are an end of its range (None: nowhere)."""
        matrices = self._chip.matrices(plan.arrays, step.group.columns.lines)  # the group does not keep them alive
        step.group.use(matrices, self._periphery)
        if step.drives:
            self._drive(step, volts)
        self._multiply(step)
        if self._chip.curve is not None:
            self._bend(plan, step, self._chip.curve)
        return self._periphery.convert(step.currents, step.deviations, look=step.looks)

    def _drive(self, step: Step, volts: torch.Tensor) -> None:
        """DAC codes of the BLs, bank by bank, and their squares; banks of SLs share them."""
        rows = step.group.rows
        if rows.banks > 1:  # splitting an axis is always a view
            volts = volts[..., rows.where].view(*volts.shape[:2], rows.banks, rows.each).transpose(1, 2)
        elif rows.lines.size < volts.shape[-1]:
            volts = volts[..., rows.where]
        self._periphery.drive(volts, step.driven)
        if self._cells_are_noisy:
            torch.mul(step.codes, step.codes, out=step.squares)

    def _multiply(self, step: Step) -> None:
        """Currents before the ADC, in its codes, with offset and noise."""
        currents, group, periphery = step.currents, step.group, self._periphery
        torch.baddbmm(group.offset, step.codes, group.effective, alpha=self._scale, out=currents)
        if self._cells_are_noisy:
            variance, scale = step.deviations, self._scale**2
            torch.baddbmm(self._floor, step.squares, group.variance, alpha=scale, out=variance)
            if group.is_shielded:
                torch.addcmul(group.unshielded, currents, group.shielding, out=step.normals)
                variance.addcmul_(currents, step.normals)
            periphery.noise.fill(step.draws)
            currents.addcmul_(step.normals, variance.sqrt_())
        elif periphery.adc_noise:
            periphery.noise.fill(step.draws)
            currents.add_(step.normals, alpha=periphery.adc_noise)

    def _bend(self, plan: Plan, step: Step, curve: CellCurve) -> None:
        """Add what cells that are not ohmic carry beyond that, in codes of the ADC."""
        rows, columns = step.group.rows, step.group.columns
        shape = (plan.arrays.size, rows.banks, step.codes.shape[1])
        volts = step.codes.view(*shape, rows.each).to(torch.float64) * self._spec.wiring.dac_lsb
        drive = volts.new_zeros(*shape, self._spec.n_bl)
        for bank, lines in enumerate(torch.from_numpy(rows.lines).view(rows.banks, rows.each)):
            drive[:, bank].index_copy_(-1, lines.to(drive.device), volts[:, bank])
        for number, network in enumerate(self._chip.networks(plan.arrays, columns.lines)):
            excess = nonlinear_excess(network, curve, drive[number].flatten(0, 1)[None])
            part = slice(number * rows.banks, (number + 1) * rows.banks)
            step.currents[part] += excess.view(*shape[1:], -1) / self._periphery.adc_lsb


def _check_apart(out: MvmResult, bl_voltages: torch.Tensor) -> None:
    """Refuse a result that would be written over voltages that later passes still need."""
    given = bl_voltages.untyped_storage().data_ptr()
    for name in ("currents", "over_range"):
        if given and getattr(out, name).untyped_storage().data_ptr() == given:
            raise ConfigError(f"out.{name} shares its memory with bl_voltages; give it memory of its own")
