"""The files of one adapter in PEFT's format, apart from any model.

A directory holds `adapter_config.json` and `adapter_model.safetensors`. `r` and `lora_alpha` are written so
that PEFT computes the same update. What PEFT has no place for (the scale convention, the SRAM format, a
digest) travels in the metadata of the tensor file, so that it goes when another program rewrites that
file, and never describes other tensors than its own.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from rmhil.errors import AdapterFileError
from rmhil.nn.lora import SCALINGS, Scaling
from rmhil.validation_errors import problems
from rmhil.whole_files import write_bytes, write_text

CONFIG_FILE: Final = "adapter_config.json"
TENSOR_FILE: Final = "adapter_model.safetensors"
METADATA_KEY: Final = "rmhil"

_Value = TypeVar("_Value")

_PREFIX: Final = "base_model.model."
_KEY = re.compile(rf"{re.escape(_PREFIX)}(?P<layer>.+)\.lora_(?P<matrix>[AB])\.weight")

_HARMLESS: Final = frozenset(
    {
        "auto_mapping", "base_model_name_or_path", "exclude_modules", "fan_in_fan_out", "inference_mode",
        "layers_pattern", "layers_to_transform", "megatron_core", "peft_version", "revision",
        "runtime_config", "target_modules", "task_type",
    }
)  # fmt: skip
"""Settings of PEFT that do not change what the saved matrices say: where they came from, and how the layers
were chosen, which the tensor names tell as well."""

_HARMLESS_STARTS: Final = ("gaussian", "eva", "orthogonal")
"""Ways to start the matrices that leave the weights of the layer alone; the others need altered weights."""

_SCALE_TOLERANCE: Final = 1e-9
"""1: relative, between the scale of the metadata and that of the configuration (rounding of float64 only)."""


class PeftSettings(BaseModel):
    """`adapter_config.json`, as far as it concerns the update. Other fields are looked at by `check`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    peft_type: str
    r: int = Field(ge=1)
    lora_alpha: float = Field(gt=0, allow_inf_nan=False)
    use_rslora: bool = False
    rank_pattern: dict[str, int] = {}
    alpha_pattern: dict[str, float] = {}
    lora_dropout: float = 0.0
    bias: str = "none"
    init_lora_weights: bool | str | None = True

    def check(self) -> None:
        """Refuse what would make the update something else than scale * B A.

        Raises:
            AdapterFileError: a setting asks for it.
        """
        if self.peft_type != "LORA":
            raise AdapterFileError(f"{CONFIG_FILE}: peft_type is {self.peft_type!r}, only 'LORA' is supported")
        asked = {name: value for name, value in (self.model_extra or {}).items() if name not in _HARMLESS}
        odd = [
            name for name, value in asked.items() if value is True or (value and not isinstance(value, (int, float)))
        ]
        if self.bias != "none":
            odd.append("bias")
        start = self.init_lora_weights
        if isinstance(start, str) and start not in _HARMLESS_STARTS:
            odd.append("init_lora_weights")
        if odd:
            raise AdapterFileError(f"{CONFIG_FILE}: not supported: {', '.join(sorted(odd))}")

    def rank(self, layer: str) -> int:
        """The rank of one layer."""
        return _by_pattern(self.rank_pattern, layer, self.r)

    def alpha(self, layer: str) -> float:
        """`lora_alpha` of one layer."""
        return _by_pattern(self.alpha_pattern, layer, self.lora_alpha)

    @property
    def scaling(self) -> Scaling:
        """PEFT's convention."""
        return "alpha/sqrt(rank)" if self.use_rslora else "alpha/rank"


class AdapterRecord(BaseModel):
    """What rmhil adds to the tensor file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    record: Literal[1] = 1
    name: str
    scaling: Scaling
    alphas: dict[str, float]
    sram_format: str
    digest: str


@dataclass(frozen=True, slots=True)
class LayerFactors:
    """The share of one layer.

    Attributes:
        A, B: float32, on the CPU, as stored in SRAM.
        alpha: in the convention of the file it belongs to.
    """

    A: torch.Tensor
    B: torch.Tensor
    alpha: float

    @property
    def rank(self) -> int:
        """Rows of A."""
        return self.A.shape[0]


@dataclass(frozen=True, slots=True)
class AdapterFile:
    """One adapter, apart from any model.

    Attributes:
        name: as it was saved; None where PEFT made the files.
        scaling: the convention of the alphas.
        layers: factors by layer name.
        sram_format: format of the bank it was saved from; None where PEFT made the files.
        dropout: of PEFT's training, which rmhil does not have.
    """

    name: str | None
    scaling: Scaling
    layers: Mapping[str, LayerFactors]
    sram_format: str | None
    dropout: float = 0.0


def write_files(adapter: AdapterFile, path: Path, targets: list[str] | str) -> None:
    """Write the two files, each complete or not at all.

    Args:
        adapter: what to write.
        path: a directory; made if it is missing, files of the same names are replaced.
        targets: `target_modules` for PEFT.

    Raises:
        AdapterFileError: the directory cannot be written.
    """
    tensors = {
        f"{_PREFIX}{layer}.lora_{matrix}.weight": getattr(factors, matrix).contiguous()
        for layer, factors in adapter.layers.items()
        for matrix in ("A", "B")
    }
    record = AdapterRecord(
        name=adapter.name or path.name,
        scaling=adapter.scaling,
        alphas={layer: factors.alpha for layer, factors in adapter.layers.items()},
        sram_format=adapter.sram_format or "float32",
        digest=_digest(tensors),
    )
    config = json.dumps(_peft_config(adapter, targets), indent=2, sort_keys=True)
    data = save(tensors, metadata={"format": "pt", METADATA_KEY: record.model_dump_json()})
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AdapterFileError(f"cannot write an adapter to {path}: {error}") from error
    write_bytes(path / TENSOR_FILE, data, AdapterFileError)
    write_text(path / CONFIG_FILE, config, AdapterFileError)


def read_files(path: Path) -> AdapterFile:
    """Read and check the two files.

    Raises:
        AdapterFileError: they are missing, damaged, contradict each other or ask for more than plain LoRA.
    """
    settings = _read_settings(path)
    tensors, record = _read_tensors(path)
    pairs = _pairs(tensors)
    alphas = {layer: settings.alpha(layer) for layer in pairs}
    file = AdapterFile(
        name=None if record is None else record.name,
        scaling=settings.scaling if record is None else record.scaling,
        layers={
            layer: LayerFactors(A, B, (alphas if record is None else record.alphas).get(layer, math.nan))
            for layer, (A, B) in pairs.items()
        },
        sram_format=None if record is None else record.sram_format,
        dropout=settings.lora_dropout,
    )
    for layer, factors in file.layers.items():
        _check_factors(layer, factors, settings, file.scaling)
    return file


def _check_factors(layer: str, factors: LayerFactors, settings: PeftSettings, scaling: Scaling) -> None:
    rank = settings.rank(layer)
    if factors.rank != rank or factors.A.ndim < 2 or factors.B.ndim != factors.A.ndim:
        shapes = f"A {tuple(factors.A.shape)} and B {tuple(factors.B.shape)}"
        raise AdapterFileError(f"{layer}: {shapes} are not of the rank {rank} that {CONFIG_FILE} gives")
    wanted = SCALINGS[settings.scaling](settings.alpha(layer), rank)
    scale = SCALINGS[scaling](factors.alpha, rank)
    if not math.isclose(scale, wanted, rel_tol=_SCALE_TOLERANCE):
        raise AdapterFileError(f"{layer}: {TENSOR_FILE} has the scale {scale:g}, {CONFIG_FILE} has {wanted:g}")
    for name, values in (("A", factors.A), ("B", factors.B)):
        if not torch.isfinite(values).all():
            raise AdapterFileError(f"{layer}: {name} holds NaN or infinity")


def _read_settings(path: Path) -> PeftSettings:
    file = path / CONFIG_FILE
    try:
        settings = PeftSettings.model_validate(json.loads(file.read_text("utf-8")))
    except FileNotFoundError as error:
        raise AdapterFileError(f"no adapter in {path}: {CONFIG_FILE} is missing") from error
    except ValidationError as error:
        wrong = problems(error, PeftSettings)
        raise AdapterFileError(f"{file} is not the configuration of a LoRA adapter: {wrong}") from error
    except (OSError, ValueError) as error:
        raise AdapterFileError(f"{file} cannot be read: {error}") from error
    settings.check()
    return settings


def _read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], AdapterRecord | None]:
    file = path / TENSOR_FILE
    if not file.exists():
        hint = (
            "; pickled weights are not read, save them as safetensors" if (path / "adapter_model.bin").exists() else ""
        )
        raise AdapterFileError(f"no adapter in {path}: {TENSOR_FILE} is missing{hint}")
    try:
        with safe_open(file, framework="pt", device="cpu") as opened:
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 - not a dict
            text = (opened.metadata() or {}).get(METADATA_KEY)
    except (SafetensorError, OSError) as error:
        raise AdapterFileError(f"{file} is damaged: {error}") from error
    if text is None:
        return tensors, None
    try:
        record = AdapterRecord.model_validate_json(text)
    except ValidationError as error:
        raise AdapterFileError(f"{file}: its metadata cannot be read: {error}") from error
    if record.digest != _digest(tensors):
        raise AdapterFileError(f"{file} is damaged: its values are not those that were saved")
    return tensors, record


def _pairs(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    found: dict[str, dict[str, torch.Tensor]] = {}
    for key, values in tensors.items():
        match = _KEY.fullmatch(key)
        if match is None or not values.is_floating_point():
            raise AdapterFileError(f"{TENSOR_FILE}: {key!r} is not a matrix of a LoRA adapter")
        found.setdefault(match["layer"], {})[match["matrix"]] = values.to(torch.float32)
    if not found:
        raise AdapterFileError(f"{TENSOR_FILE} holds no matrices")
    for layer, matrices in found.items():
        if len(matrices) != 2:
            raise AdapterFileError(f"{TENSOR_FILE}: {layer} has only lora_{next(iter(matrices))}")
    return {layer: (matrices["A"], matrices["B"]) for layer, matrices in found.items()}


def _peft_config(adapter: AdapterFile, targets: list[str] | str) -> dict[str, Any]:
    ranks = {layer: factors.rank for layer, factors in adapter.layers.items()}
    alphas = {layer: _peft_alpha(factors, adapter.scaling) for layer, factors in adapter.layers.items()}
    rank, alpha = next(iter(ranks.values())), next(iter(alphas.values()))
    return {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": None,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {_pattern(layer): own for layer, own in ranks.items() if own != rank},
        "alpha_pattern": {_pattern(layer): own for layer, own in alphas.items() if own != alpha},
        "use_rslora": adapter.scaling == "alpha/sqrt(rank)",
        "target_modules": targets,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "modules_to_save": None,
    }


def _peft_alpha(factors: LayerFactors, scaling: Scaling) -> float | int:
    """`lora_alpha` for which PEFT's convention gives the same scale; whole numbers as such."""
    alpha = factors.alpha * factors.rank if scaling == "alpha" else factors.alpha
    return int(alpha) if float(alpha).is_integer() else alpha


def _pattern(layer: str) -> str:
    """A key of PEFT's patterns that fits this layer only (PEFT allows anything up to a dot before it)."""
    return f"^{re.escape(layer)}"


def _by_pattern(patterns: Mapping[str, _Value], layer: str, default: _Value) -> _Value:
    """The first pattern that fits the end of a layer's name, as PEFT looks it up."""
    for pattern, value in patterns.items():
        try:
            if re.match(rf"(.*\.)?({pattern})$", layer):
                return value
        except re.error as error:
            raise AdapterFileError(f"{CONFIG_FILE}: {pattern!r} is not a pattern: {error}") from error
    return default


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for key in sorted(tensors):
        values = tensors[key].contiguous()
        digest.update(f"{key} {values.dtype} {tuple(values.shape)} ".encode())
        digest.update(values.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
