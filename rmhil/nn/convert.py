"""From a PyTorch model to a model on arrays, and new weights for one that is there."""

from __future__ import annotations

import copy
from collections.abc import Mapping as Dict
from collections.abc import Sequence

import torch
from loguru import logger
from torch import nn

from rmhil.crossbar import Crossbar
from rmhil.errors import ConfigError, NotFiniteError, NotProgrammedError, ShapeError, UnknownNameError
from rmhil.ledger import DEPLOYMENT, Ledger
from rmhil.mapping import DifferentialPair, Mapping
from rmhil.nn.deployment import Deployment, Matrices, Placement, Recipe, check_apart
from rmhil.nn.layers import (
    AnalogConv2d,
    AnalogLayer,
    AnalogLinear,
    InputRange,
    analog_layers,
    check_input_range,
    matrices_of,
)
from rmhil.nn.lora import connect_ledger
from rmhil.nn.tiles import MapSource, Tile
from rmhil.program_report import ProgramReport, Progress
from rmhil.units import Siemens
from rmhil.write_verify import AnyPolicy

_ANALOG: dict[type[nn.Module], type[AnalogLayer]] = {nn.Linear: AnalogLinear, nn.Conv2d: AnalogConv2d}
_OWN = ("ledger", "report", "placement", "deployment")


def convert(
    model: nn.Module,
    arrays: Sequence[Crossbar],
    *,
    digital: Sequence[str] = (),
    mapping: Mapping | None = None,
    tolerance: Siemens = 1e-6,
    policy: str | AnyPolicy = "adaptive",
    max_pulses: int = 200,
    input_range: InputRange = "dynamic",
    correct_lines: bool = True,
    compensate: bool = True,
    measured_from: MapSource = "verify reads",
    averages: int = 4,
    inplace: bool = False,
    progress: Progress | None = None,
) -> nn.Module:
    """Put every `nn.Linear` and `nn.Conv2d` of a model on arrays: place, program, verify, calibrate.

    All crossbars count in the ledger of the first from then on. Biases, norms and all other modules stay digital;
    so do the layers named in `digital`, whose MACs are counted.

    Args:
        model: an ordinary torch module.
        arrays: where its weights go; earlier ones are filled first. Cells that no weight needs are left alone.
        digital: names of layers, or of modules whose layers all, stay digital.
        mapping: `DifferentialPair()` by default, or `OffsetColumn(...)`.
        tolerance: S, of the write-verify.
        policy: of the write-verify.
        max_pulses: SET and RESET pulses allowed for each cell; a rewrite by `reprogram` takes up to 8 further ones.
        input_range: how activations become volts: `dynamic`, or the activation at full scale.
        correct_lines: take back digitally what the resistance of lines costs.
        compensate: shift the other cell of a pair by the error of a cell that cannot be programmed.
        measured_from: `verify reads` through the nominal model of the lines, or `columns`: one BL at a time, with MVMs.
        averages: readings of each cell, or of each column, averaged for the measured map.
        inplace: change `model` itself; else a deep copy is converted.
        progress: told how many cells are done.

    Returns:
        The model, with further attributes: `ledger`; `report`, the `ProgramReport` of each crossbar; `placement`, where
        each layer lies; `deployment`, what `reprogram` needs.

    Raises:
        UnknownNameError: `digital` names no such layer.
        ConfigError: a layer cannot be converted, none is left to convert, two crossbars share cells, or `mapping` is
            none.
        PlacementError: the weights do not fit; the message says what is missing.
        NotFiniteError, OutOfRangeError: a weight or a setting is not usable.
        ProgramInterruptedError: Ctrl-C while programming; a model converted in place is unchanged.

        With all but the last, nothing was driven.
    """
    check_apart(arrays)
    check_input_range(input_range)
    _check_free(model)
    _chosen(model, digital)
    recipe = Recipe(
        mapping=DifferentialPair() if mapping is None else mapping,
        tolerance=tolerance,
        policy=policy,
        max_pulses=max_pulses,
        source=measured_from,
        averages=averages,
        correct_lines=correct_lines,
        compensate=compensate,
    )
    ledger = arrays[0].ledger
    chip = model if inplace else copy.deepcopy(model)
    chosen = _chosen(chip, digital)
    weights = _weights_of(chosen)
    deployment = Deployment([each.counted_in(ledger) for each in arrays], recipe, weights)
    logger.info("{}", deployment.placement)
    deployment.program(weights, rewrite=False, progress=progress)
    _put_on_arrays(chip, chosen, deployment, weights, input_range)
    ledger.mark(DEPLOYMENT)
    return chip


def placed(
    model: nn.Module,
    arrays: Sequence[Crossbar],
    *,
    digital: Sequence[str] = (),
    mapping: Mapping | None = None,
) -> Placement:
    """Where `convert` would put a model: shapes decide, weights do not. Nothing is driven.

    Args:
        model: an ordinary torch module.
        arrays: where its weights are to go.
        digital: names of layers that stay digital.
        mapping: as for `convert`.

    Raises:
        UnknownNameError, ConfigError, PlacementError, NotFiniteError: as `convert`.
    """
    check_apart(arrays)
    recipe = Recipe() if mapping is None else Recipe(mapping=mapping)
    return Deployment(arrays, recipe, _weights_of(_chosen(model, digital))).placement


def attach(
    model: nn.Module,
    arrays: Sequence[Crossbar],
    recipe: Recipe,
    *,
    digital: Sequence[str] = (),
    input_range: InputRange = "dynamic",
    weight_max: Dict[str, Sequence[float]] | None = None,
    tiles: Dict[str, Sequence[Tile]] | None = None,
) -> nn.Module:
    """Take up a model whose weights are on the arrays already: its cells are read, and none is pulsed.

    Args:
        model: with the weights that were programmed; it is changed itself.
        arrays: the same as when it was programmed.
        recipe: how it was programmed.
        digital: names of layers that are not on arrays.
        input_range: as `convert`.
        weight_max: largest magnitude that each tile was scaled for, by layer; None: that of its weights.
        tiles: where each layer lies, as in the `placement` of what programmed it; None: where `convert` puts it on
            arrays that are wired like these.

    Returns:
        The model, as `convert` returns it, but with no reports.

    Raises:
        ConfigError, UnknownNameError, PlacementError, NotFiniteError, OutOfRangeError: as `convert`; nothing was
            driven.
        ConfigError, ShapeError: `weight_max` or `tiles` was made for other layers or other arrays; nothing was driven.
        OutOfRangeError: `weight_max` leaves no room for the weights; nothing was driven.
        OverRangeError, BackendUnavailableError: from reading the cells.

        With all of them, the model is unchanged.
    """
    check_apart(arrays)
    check_input_range(input_range)
    _check_free(model)
    chosen = _chosen(model, digital)
    weights = _weights_of(chosen)
    for what, given in (("weight_max", weight_max), ("tiles", tiles)):
        if given is not None and set(given) != set(weights):
            raise ConfigError(f"{what} is for the layers {sorted(given)}, but {sorted(weights)} are on arrays")
    deployment = Deployment([each.counted_in(arrays[0].ledger) for each in arrays], recipe, weights, tiles)
    for name, matrix in deployment.matrices.items():
        if weight_max is not None:
            matrix.scale_for(weight_max[name], weights[name])
        matrix.generation += 1
    _put_on_arrays(model, chosen, deployment, weights, input_range)
    return model


def _weights_of(layers: Dict[str, nn.Linear | nn.Conv2d]) -> Matrices:
    weights = {name: matrices_of(layer) for name, layer in layers.items()}
    for name, matrix in weights.items():
        _check_finite(f"{name}.weight".lstrip("."), torch.from_numpy(matrix))
    return weights


def _put_on_arrays(
    chip: nn.Module,
    chosen: Dict[str, nn.Linear | nn.Conv2d],
    deployment: Deployment,
    weights: Matrices,
    input_range: InputRange,
) -> None:
    """Measure what the arrays hold, and let the layers compute with it."""
    ledger = deployment.crossbars[0].ledger
    measured = deployment.calibrate(weights)
    for name, module in chosen.items():
        layer = _ANALOG[type(module)].adopt(module, input_range)
        layer.label = name or type(layer).__name__
        layer.bind(deployment.matrices[name], torch.from_numpy(measured[name]))
    _count_macs(chip, ledger)
    connect_ledger(chip, ledger)
    _describe(chip, deployment, ledger)


def reprogram(
    chip: nn.Module,
    source: nn.Module | Dict[str, torch.Tensor],
    *,
    rewrite: bool = False,
    progress: Progress | None = None,
) -> list[ProgramReport]:
    """Write new weights to the cells that a model already has, and load its other parameters.

    A tile keeps its scale while its weights fit, so that cells whose weights did not change are in tolerance; where
    the largest weight of a tile has grown, the whole tile is scaled anew.

    Args:
        chip: what `convert` returned.
        source: a model of the same layers, or its `state_dict`. Parameters that it lacks (adapters of the chip, say)
            stay as they are; those of the analogue layers must all be there.
        rewrite: pulse every cell, as a chip must that does not look first; else cells in tolerance are skipped. The
            RESETs that erase a cell, up to 8, do not count as `max_pulses` of `convert`.
        progress: told how many cells are done.

    Returns:
        One report a crossbar; also in `chip.report`.

    Raises:
        NotProgrammedError: the model is on no array.
        UnknownNameError, ShapeError, NotFiniteError: parameters that do not fit the model; nothing was changed.
        ProgramInterruptedError: Ctrl-C; the layers refuse to compute until `reprogram` has come to its end.
    """
    deployment = getattr(chip, "deployment", None)
    if not isinstance(deployment, Deployment):
        raise NotProgrammedError("this model is on no array; program it with nn.convert")
    state = source.state_dict() if isinstance(source, nn.Module) else source
    layers = analog_layers(chip)
    _check_state(chip, layers, state)
    chip.load_state_dict(state, strict=False)
    weights = {name: matrices_of(layer) for name, layer in layers.items()}
    reports = deployment.program(weights, rewrite, progress)
    measured = deployment.calibrate(weights)
    for name, layer in layers.items():
        layer.bind(deployment.matrices[name], torch.from_numpy(measured[name]))
    _describe(chip, deployment, deployment.crossbars[0].ledger)
    return reports


def _describe(chip: nn.Module, deployment: Deployment, ledger: Ledger) -> None:
    for name, value in zip(_OWN, (ledger, deployment.reports, deployment.placement, deployment), strict=True):
        setattr(chip, name, value)


def _check_free(model: nn.Module) -> None:
    if isinstance(getattr(model, "deployment", None), Deployment) or analog_layers(model):
        raise ConfigError("the model is on arrays already; nn.reprogram writes new weights")
    taken = [name for name in _OWN if hasattr(model, name)]
    if taken:
        raise ConfigError(f"the model has attributes of its own named {', '.join(taken)}; wrap it in another module")


def _chosen(model: nn.Module, digital: Sequence[str]) -> dict[str, nn.Linear | nn.Conv2d]:
    """The layers to convert, by name."""
    if isinstance(digital, str):
        raise ConfigError(f"digital = {digital!r}, expected a list of names")
    layers = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)}
    for asked in digital:
        if not any(_inside(name, asked) for name in layers):
            raise UnknownNameError("layer", asked, list(layers))
    chosen = {name: each for name, each in layers.items() if not any(_inside(name, asked) for asked in digital)}
    if not chosen:
        raise ConfigError("the model has no nn.Linear or nn.Conv2d to convert")
    bypassing = [name for name, module in model.named_modules() if isinstance(module, nn.TransformerEncoderLayer)]
    for name, module in chosen.items():
        if type(module) not in _ANALOG:
            raise ConfigError(
                f"layer {name!r} is a {type(module).__name__}, which is more than its base class; name it in digital"
            )
        if not isinstance(module.weight, nn.Parameter):
            raise ConfigError(
                f"the weight of layer {name!r} is no parameter, but computed from others (weight_norm, spectral_norm "
                "or pruning); make that permanent first, or name the layer in digital"
            )
        if not module.weight.numel():
            raise ConfigError(f"layer {name!r} has no weights: its shape is {tuple(module.weight.shape)}")
        if any(_inside(name, outer) for outer in bypassing):
            raise ConfigError(
                f"layer {name!r} is part of an nn.TransformerEncoderLayer, which reads weights without calling its "
                "layers; name it in digital"
            )
    return chosen


def _inside(name: str, outer: str) -> bool:
    return name == outer or name.startswith(outer + ".") or outer == ""


def _check_state(chip: nn.Module, layers: Dict[str, AnalogLayer], state: Dict[str, torch.Tensor]) -> None:
    own = chip.state_dict()
    for key in state:
        if key not in own:
            raise UnknownNameError("parameter", key, list(own))
    for name, layer in layers.items():
        for key in (f"{name}.{part}".lstrip(".") for part, _ in layer.named_parameters(recurse=False)):
            if key not in state:
                raise UnknownNameError("parameter", key, list(state), "The new weights must cover every analogue layer")
    for key, value in state.items():
        if value.shape != own[key].shape:
            raise ShapeError(key, value.shape, str(tuple(own[key].shape)))
        _check_finite(key, value)


def _check_finite(name: str, values: torch.Tensor) -> None:
    bad = int((~values.isfinite()).sum())
    if bad:
        raise NotFiniteError(name, bad, values.numel())


class _CountMacs:
    """A forward hook: the MACs of one digital layer go to the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __call__(self, module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        self._ledger.count_macs(output.numel() * weight[0].numel(), "digital")


def _count_macs(chip: nn.Module, ledger: Ledger) -> None:
    for module in chip.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d) and not isinstance(
            module, AnalogLinear | AnalogConv2d
        ):
            module.register_forward_hook(_CountMacs(ledger))
