from __future__ import annotations

from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from rmhil_examples.face import WORKLOAD
from rmhil_examples.face.olivetti import DATA_VARIABLE, load_photographs
from rmhil_examples.task import StagedTask

from rmhil.errors import ConfigError, DataMissingError, OutOfRangeError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with pictures of noise: 40 people, ten pictures of each."""
    (tmp_path / "olivetti").mkdir()
    images = np.random.default_rng(0).integers(0, 243, (400, 64, 64), dtype=np.uint8)
    np.savez(tmp_path / "olivetti" / "olivetti_faces_64x64.npz", images=images, target=np.repeat(np.arange(40), 10))
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    return tmp_path


def test_pixels_are_what_scikit_learn_makes_of_them(folder: Path) -> None:
    with np.load(folder / "olivetti" / "olivetti_faces_64x64.npz") as file:
        expected = file["images"].astype(np.float32) / np.float32(242)
    found = load_photographs()
    assert found.shape == (40, 10, 64, 64)
    assert np.array_equal(found.reshape(400, 64, 64), expected)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken"])
def test_a_damaged_file_is_named(folder: Path, content: bytes) -> None:
    (folder / "olivetti" / "olivetti_faces_64x64.npz").write_bytes(content)
    with pytest.raises(DataMissingError, match=r"olivetti_faces_64x64\.npz is damaged"):
        load_photographs()


def test_photographs_in_another_order_are_refused(folder: Path) -> None:
    target = np.tile(np.arange(40), 10)
    images = np.zeros((400, 64, 64), dtype=np.uint8)
    np.savez(folder / "olivetti" / "olivetti_faces_64x64.npz", images=images, target=target)
    with pytest.raises(DataMissingError, match="order of their people"):
        load_photographs()


def test_missing_photographs_say_where_they_were_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "nowhere"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "sklearn"))
    with pytest.raises(DataMissingError, match=r"nowhere.*cache.*RMHIL_DATA"):
        load_photographs(allow_download=False)


def pictures_of(task: StagedTask, part: str) -> set[bytes]:
    return {x.numpy().tobytes() for x in getattr(task, part).x}


def test_no_photograph_is_in_two_parts(folder: Path) -> None:
    """The photographs themselves are views too, so that a shared one would show."""
    parts = {"train": 7, "validation": 1, "test": 2}
    task = WORKLOAD.load(0, group=2, fold=3)
    originals = {x.tobytes() for x in _small(load_photographs()[12:18])}
    found = {part: pictures_of(task, part) & originals for part in parts}
    assert {part: len(each) for part, each in found.items()} == {part: 6 * count for part, count in parts.items()}
    assert len(set.union(*found.values())) == 60


def _small(photographs: np.ndarray) -> np.ndarray:
    x = torch.from_numpy(photographs).reshape(-1, 1, 64, 64)
    return torch.nn.functional.interpolate(x, size=16, mode="bilinear", align_corners=False).numpy()


def test_every_photograph_is_tested_in_one_fold(folder: Path) -> None:
    names = [name for fold in range(5) for name in WORKLOAD.load(0, group=1, fold=fold).test_names]
    assert len(names) == len(set(names)) == 60
    assert {name.split("person ")[1] for name in names} == {str(person) for person in range(6, 12)}


def test_the_split_does_not_depend_on_the_seed_but_views_and_weights_do(folder: Path) -> None:
    one, other = WORKLOAD.load(1, fold=2), WORKLOAD.load(2, fold=2)
    assert one.test_names == other.test_names
    assert torch.equal(one.test.x, other.test.x)
    assert not torch.equal(one.train.x, other.train.x)
    assert not torch.equal(one.model().head.weight, other.model().head.weight)


def test_the_same_seed_loads_the_same_task(folder: Path) -> None:
    one, two = WORKLOAD.load(5), WORKLOAD.load(5)
    torch.rand(3)  # torch's own generator is no part of it
    assert torch.equal(one.train.x, two.train.x)
    assert torch.equal(one.model().head.weight, two.model().head.weight)


def test_unknown_options_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="known: group, fold"):
        WORKLOAD.load(0, person=3)
    with pytest.raises(OutOfRangeError, match="group"):
        WORKLOAD.load(0, group=6)
    with pytest.raises(OutOfRangeError, match="fold"):
        WORKLOAD.load(0, fold=5)


def test_digits_without_scikit_learn_say_how_to_get_it() -> None:
    from rmhil_examples.digits import WORKLOAD as DIGITS

    with mock.patch.dict("sys.modules", {"sklearn.datasets": None}), pytest.raises(DataMissingError, match="rmhil"):
        DIGITS.load(0)
