from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import rmhil
from rmhil import registry
from rmhil.errors import ConfigError, UnknownNameError


def test_an_unknown_backend_lists_what_is_installed_and_how_to_get_the_rest() -> None:
    with pytest.raises(UnknownNameError, match=r"'simm'.*sim.*entry point"):
        rmhil.open_backend("simm")


def test_an_unknown_option_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="sede"):
        rmhil.open_backend("sim", sede=7)


def test_a_missing_configuration_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        rmhil.open_backend("sim", tmp_path / "nowhere.toml")


def test_a_backend_of_another_package_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    def only(*, group: str) -> list[EntryPoint]:
        return [EntryPoint("mine", "builtins:dict", group)]

    replacement: Callable[..., list[EntryPoint]] = only
    monkeypatch.setattr(registry, "entry_points", replacement)
    assert registry.backend_names() == ["mine"]
    assert rmhil.open_backend("mine", colour="blue") == {"config": None, "colour": "blue"}


def test_an_unknown_name_in_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such"):
        rmhil.no_such  # noqa: B018
