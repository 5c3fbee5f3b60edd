"""Lines of the control connection, settings that travel on it, and the list of running twins."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rmhil.bench.errors import InstrumentError
from rmhil.errors import BackendUnavailableError, ConfigError, OutOfRangeError, RmhilError, UnknownNameError
from rmhil.wiring import Wiring
from sim_backend.twin.protocol import Address, failure, packed, raised, unpacked
from sim_backend.twin.running import announced, running_twins
from sim_backend.twin.settings import TwinSettings, twin_settings


def test_a_url_is_the_address_and_back() -> None:
    address = Address("127.0.0.1", 4712, "a-_b")
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    "url",
    ["", "twin://", "twin://127.0.0.1:x/token", "twin://127.0.0.1:1", "twin://:1/token", "http://127.0.0.1:1/token"],
)
def test_what_is_no_url_of_a_twin_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="twin://"):
        Address.parse(url)


@pytest.mark.parametrize("line", [b'{"a": 1}', b"[1]\n", b"nonsense\n", b'{"a": "' + b"x" * 100 + b'"}\n'])
def test_what_is_no_line_of_an_object_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"bytes|object|JSON|Expecting"):
        unpacked(line, 64)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OutOfRangeError("n_bl", 500, 1, 128, "lines"), OutOfRangeError),
        (UnknownNameError("preset", "x", ("a",)), UnknownNameError),
        (ConfigError("no"), ConfigError),
        (InstrumentError("of another module"), RmhilError),
    ],
)
def test_an_error_keeps_its_class_and_words_on_the_way(error: RmhilError, kind: type[RmhilError]) -> None:
    found = raised(unpacked(packed(failure(error)), 10_000))
    assert type(found) is kind
    assert str(found) == str(error)


def test_an_answer_of_an_unknown_kind_is_an_error_all_the_same() -> None:
    assert type(raised({"failed": "SystemExit", "message": "no"})) is BackendUnavailableError


def test_settings_survive_the_way_to_the_process() -> None:
    settings = twin_settings(
        {"topology": "adc8", "seed": 3, "wiring": Wiring(bl_channels=8), "state": Path("chip.npz"), "waves": True}
    )
    travelled = TwinSettings.model_validate(json.loads(json.dumps(settings.model_dump(mode="json"))))
    assert travelled == settings
    assert travelled.array["state"] == str(Path.cwd() / "chip.npz")  # the process may be elsewhere
    assert travelled.array["wiring"]["bl_channels"] == 8


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"topology": "adc32"}, "adc64, adc8"),
        ({"cells": 3}, "cells"),
        ({"n_arrays": 2}, "n_arrays"),
        ({"board_port": -1}, "port"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        twin_settings(options)


def test_only_twins_whose_process_lives_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    address = Address("127.0.0.1", 9, "token")
    with announced(address, {"identity": "taox180"}):
        (note,) = (tmp_path / "rmhil" / "twin" / "running").iterdir()
        assert note.stat().st_mode & 0o077 == 0
        (note.parent / "1-1.json").write_text("not json")
        (note.parent / "2-2.json").write_text(json.dumps({"process": 2**22 + 1, "url": "u", "identity": "i"}))
        (found,) = running_twins()
        assert (found.url, found.process) == (str(address), os.getpid())
        assert list(note.parent.iterdir()) == [note]
    assert running_twins() == []
