"""`rmhil info`: what is installed, what a backend is, what a run holds."""

from __future__ import annotations

from typing import Any

from rmhil.backend import ArraySpec
from rmhil.cli import options
from rmhil.cli.console import print_facts, print_json
from rmhil.cli.lazy import sources
from rmhil.cli.session import Place
from rmhil.errors import ConfigError
from rmhil.plain import plain
from rmhil.registry import backend_names
from rmhil.run_record import versions
from rmhil.store import Run
from rmhil.units import MICRO
from rmhil.workload import workload_names


def info(
    backend: options.BackendName = None,
    config: options.ConfigFile = None,
    seed: options.Seed = None,
    run: options.RunToReopen = None,
    out: options.OutDirectory = options.RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Show what is installed, what a backend is (--backend), or what a run holds (--run).

    Example: rmhil info --backend sim --seed 7
    """
    place = Place(backend=backend, config=config, seed=seed, run=run, out=out)
    if run is not None:
        _print_run(Run.open(run, out), as_json)
    elif backend is not None:
        with place.choice.open() as opened:
            spec = opened.spec
        print_json(plain(spec)) if as_json else print_facts(spec.provenance, spec_facts(spec))
    elif config is not None or seed is not None:
        raise ConfigError("--config and --seed are settings of a backend: name it with --backend")
    else:
        _print_installed(as_json)


def spec_facts(spec: ArraySpec) -> dict[str, str]:
    """Names and values, with units, of what a user asks about an array."""
    limits, wiring = spec.limits, spec.wiring
    at_once = "any number" if spec.cells_at_once is None else str(spec.cells_at_once)
    return {
        "geometry": f"{spec.n_arrays} x {spec.n_bl} bit lines x {spec.n_sl} source lines",
        "window": f"{spec.conductance_min / MICRO:g} to {spec.conductance_max / MICRO:g} uS",
        "read and MVM": f"up to {limits.read_voltage:g} V",
        "SET, RESET, FORM": f"up to {limits.set_voltage:g}, {limits.reset_voltage:g}, {limits.form_voltage:g} V",
        "gate": f"up to {limits.gate_voltage:g} V",
        "current": f"up to {limits.current * 1e3:g} mA",
        "pulses": f"{limits.pulse_width_min * 1e3:g} ms to {limits.pulse_width_max:g} s, "
        f"{spec.pulse_width * 1e3:g} ms by default, every {limits.pulse_period_min * 1e3:g} ms at most",
        "cells programmed at once": at_once,
        "lines in one pass": f"{wiring.bl_channels} driven, {wiring.sl_channels} sensed by {wiring.adc_count} ADCs; "
        f"{len(spec.passes())} passes for a whole array",
        "DAC": f"{wiring.dac_bits} bit, {wiring.dac_lsb / MICRO:.3g} uV a code",
        "ADC": f"{wiring.adc_bits} bit, {wiring.adc_lsb * 1e9:.3g} nA a code, "
        f"up to +-{wiring.adc_current_range * 1e3:.3g} mA",
        "routing resistance": f"BL {wiring.bl_routing_resistance:g}, SL {wiring.sl_routing_resistance:g} ohm",
        "wire resistance": f"BL {wiring.bl_wire_resistance:g}, SL {wiring.sl_wire_resistance:g} ohm a cell",
    }


def _print_installed(as_json: bool) -> None:
    found: dict[str, Any] = {
        "versions": versions(),
        "backends": backend_names(),
        "workloads": workload_names(),
        "commands": list(sources()),
    }
    if as_json:
        print_json(found)
        return
    print_facts("versions", found["versions"])
    print_facts(
        "\ninstalled", {name: ", ".join(found[name]) or "none" for name in ("backends", "workloads", "commands")}
    )


def _print_run(run: Run, as_json: bool) -> None:
    from rmhil.measure.labelled import measurement_names

    steps, measurements = run.steps(), measurement_names(run)
    record = run.record
    open_jobs = [f"{job.kind} of {job.time} ({job.status})" for job in run.journal.jobs() if job.status != "complete"]
    if as_json:
        held = {"maps": run.map_names(), "measurements": measurements, "unfinished_jobs": open_jobs}
        print_json(record.model_dump() | {"path": run.path, "steps": steps} | held)
        return
    backend = (record.backend or {}).get("provenance", "none")
    print_facts(
        f"run {run.name}",
        {
            "status": record.status + (f" ({record.error})" if record.error else ""),
            "command": record.command,
            "backend": backend,
            "created": record.created,
            "finished": record.finished or "-",
            "maps": ", ".join(run.map_names()) or "none",
            "measurements": ", ".join(measurements) or "none",
            "arrays": ", ".join(run.array_names()) or "none",
            "steps": ", ".join(f"{step.id} {step.kind}" for step in steps) or "none",
            "unfinished jobs": ", ".join(open_jobs) or "none",
            "directory": run.path,
        },
    )
