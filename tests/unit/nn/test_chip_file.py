"""A converted model is taken up again by a later process, and not a pulse is given."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn as tnn

from rmhil import nn
from rmhil.crossbar import Crossbar
from rmhil.errors import ConfigError, InputFileError, NotProgrammedError
from rmhil.nn.chip_file import open_chip, save_chip
from sim_backend.backend import SimBackend, open_backend

SIZE = 24
"""BLs and SLs of the array in these tests."""


def network(seed: int = 0) -> tnn.Sequential:
    torch.manual_seed(seed)
    return tnn.Sequential(tnn.Linear(10, 6), tnn.ReLU(), tnn.Linear(6, 4))


@pytest.fixture
def backend() -> Iterator[SimBackend]:
    with open_backend(n_bl=SIZE, n_sl=SIZE, seed=3) as opened:
        yield opened


def reopened(backend: SimBackend, folder: Path) -> SimBackend:
    backend.save_state(folder / "state.npz")
    return open_backend(n_bl=SIZE, n_sl=SIZE, seed=3, state=folder / "state.npz")


@pytest.mark.parametrize("mapping", [nn.DifferentialPair(), nn.OffsetColumn()])
def test_the_model_computes_as_before_without_a_pulse(backend: SimBackend, tmp_path: Path, mapping: object) -> None:
    chip = nn.convert(network(), [Crossbar(backend)], mapping=mapping, digital=["2"])
    x = torch.randn(64, 10, generator=torch.Generator().manual_seed(1))
    before = chip(x)
    save_chip(chip, tmp_path / "chip")
    with reopened(backend, tmp_path) as again:
        array = Crossbar(again)
        opened = open_chip(network(seed=9), [array], tmp_path / "chip")
        assert array.ledger.counts.pulses == 0
        assert array.ledger.counts.reads > 0
        after = opened(x)
    # read noise in the new calibration and in the products: 1 to 3 % of the signal, more without pairs
    assert float((after - before).detach().std()) < 0.06 * float(before.detach().std())
    assert isinstance(opened[2], tnn.Linear)
    assert not isinstance(opened[2], nn.AnalogLinear)


def test_a_model_programmed_twice_keeps_the_scale_of_its_cells(backend: SimBackend, tmp_path: Path) -> None:
    chip = nn.convert(network(), [Crossbar(backend)])
    small = {name: value / 3 for name, value in network().state_dict().items()}
    nn.reprogram(chip, small)  # the tiles keep the larger scale
    save_chip(chip, tmp_path / "chip")
    with reopened(backend, tmp_path) as again:
        opened = open_chip(network(), [Crossbar(again)], tmp_path / "chip")
        for name, layer in nn.analog_layers(opened).items():
            there = nn.analog_layers(chip)[name]
            assert [tile.scale for tile in layer.on_arrays.tiles] == [tile.scale for tile in there.on_arrays.tiles]


def test_adapters_are_not_part_of_the_file(backend: SimBackend, tmp_path: Path) -> None:
    chip = nn.convert(network(), [Crossbar(backend)])
    nn.add_adapter(chip, "extra", rank=2, alpha=2.0, bank=nn.SramBank(4096))
    save_chip(chip, tmp_path / "chip")
    with reopened(backend, tmp_path) as again:
        assert nn.adapter_names(open_chip(network(), [Crossbar(again)], tmp_path / "chip")) == []


def test_a_model_on_no_array_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotProgrammedError):
        save_chip(network(), tmp_path / "chip")


def test_a_policy_of_ones_own_is_refused(backend: SimBackend, tmp_path: Path) -> None:
    from rmhil.write_verify import Adaptive

    chip = nn.convert(network(), [Crossbar(backend)], policy=Adaptive())
    with pytest.raises(ConfigError, match="policy"):
        save_chip(chip, tmp_path / "chip")


class TestDamage:
    @pytest.fixture(autouse=True)
    def _saved(self, backend: SimBackend, tmp_path: Path) -> None:
        self.backend = backend
        self.array = Crossbar(backend)
        self.path = save_chip(nn.convert(network(), [self.array]), tmp_path / "chip")
        self.counts = self.array.ledger.counts

    def refused(self, complaint: str, model: tnn.Module | None = None, array: Crossbar | None = None) -> None:
        model = network(seed=9) if model is None else model
        before = copy.deepcopy(model.state_dict())
        with pytest.raises(InputFileError, match=complaint):
            open_chip(model, [array or self.array], self.path)
        assert self.array.ledger.counts == self.counts
        after = model.state_dict()
        assert list(after) == list(before)
        assert all(torch.equal(after[name], before[name]) for name in before)
        assert not nn.analog_layers(model)

    def test_missing_files(self) -> None:
        (self.path / "chip.json").unlink()
        self.refused("chip.json is missing")

    def test_damaged_settings(self) -> None:
        text = (self.path / "chip.json").read_text()
        (self.path / "chip.json").write_text(text.replace("DifferentialPair", "Magic"))
        self.refused("'mapping'")
        (self.path / "chip.json").write_text(text[:-20])
        self.refused("not readable")

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            ({"mapping_settings": {"foo": 1}}, "foo"),
            ({"mapping_settings": {"low": "wide"}}, "mapping_settings"),
            ({"mapping_settings": {"low": 1e-9}}, "window"),
            ({"mapping_settings": {"high": 1.0}}, "window"),
            ({"mapping": "OffsetColumn", "mapping_settings": {"zero": 1e-3}}, "zero level"),
            ({"input_range": -1}, "input_range"),
            ({"input_range": "static"}, "input_range"),
            ({"policy": "hopeful"}, "policy"),
            ({"tolerance_siemens": float("inf")}, "tolerance_siemens"),
            ({"digital": ["9"]}, "layer"),
            ({"digital": ["2"]}, "weight_max"),
            ({"weight_max": {"0": [1.0]}}, "weight_max"),
            ({"weight_max": {"0": [], "2": [1.0]}}, "weight_max"),
            ({"weight_max": {"0": [float("nan")], "2": [1.0]}}, "weight_max"),
            ({"weight_max": {"0": [float("inf")], "2": [1.0]}}, "weight_max"),
            ({"weight_max": {"0": [0.0], "2": [1.0]}}, "weight_max"),
            ({"weight_max": {"0": [-1.0], "2": [1.0]}}, "weight_max"),
            ({"weight_max": {"0": [1e-3], "2": [1.0]}}, "weight_max"),
        ],
    )
    @pytest.mark.parametrize("source", ["verify reads", "columns"])
    def test_settings_that_contradict_the_model_or_the_target(
        self, change: dict[str, object], complaint: str, source: str
    ) -> None:
        path = self.path / "chip.json"
        settings = json.loads(path.read_text()) | {"measured_from": source}
        path.write_text(json.dumps(settings | change))
        self.refused(complaint)

    def test_a_model_that_does_not_fit_the_arrays(self) -> None:
        path = self.path / "chip.json"
        settings = json.loads(path.read_text())
        small = self.array.region(slice(0, 10), slice(0, 12))
        path.write_text(json.dumps(settings | {"shapes": [[10, 12]]}))
        self.refused("missing", array=small)

    def test_weights_that_are_not_finite(self) -> None:
        weights = network().state_dict()
        weights["2.weight"][0, 0] = float("nan")
        save_file(weights, self.path / "weights.safetensors")
        self.refused("NaN")

    def test_damaged_weights(self) -> None:
        weights = self.path / "weights.safetensors"
        weights.write_bytes(weights.read_bytes()[:40])
        self.refused("weights.safetensors")

    def test_another_model(self) -> None:
        self.refused("another model", tnn.Sequential(tnn.Linear(10, 7), tnn.ReLU(), tnn.Linear(7, 4)))

    def test_other_arrays(self) -> None:
        self.refused("programmed on arrays", array=self.array.region(slice(0, 20), slice(0, 20)))
