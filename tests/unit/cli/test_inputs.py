from __future__ import annotations

import pytest

from rmhil.backend import ArraySpec
from rmhil.cli.inputs import parse_region
from rmhil.errors import ConfigError, OutOfRangeError

SPEC = ArraySpec(provenance="test", n_arrays=1, n_bl=16, n_sl=8, conductance_min=10e-6, conductance_max=80e-6)


@pytest.mark.parametrize(
    ("text", "bl", "sl"),
    [
        (None, slice(0, 16), slice(0, 8)),
        ("2:5,1:8", slice(2, 5), slice(1, 8)),
        (":4,6:", slice(0, 4), slice(6, 8)),
        (" 0:1 , 0:1 ", slice(0, 1), slice(0, 1)),
    ],
)
def test_a_region_names_lines_and_what_is_left_out_means_all(text: str | None, bl: slice, sl: slice) -> None:
    assert parse_region(text, SPEC) == (bl, sl)


@pytest.mark.parametrize("text", ["", "1;2", "7", "0:4", "0:4,0:4,0:4", "-1:4,0:4", "0:4:2,0:4", "a:b,c:d"])
def test_another_form_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"e\.g\. 0:64,0:32"):
        parse_region(text, SPEC)


@pytest.mark.parametrize("text", ["5:5,0:1", "9:4,0:1", "16:,0:1"])
def test_a_region_without_lines_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no BL"):
        parse_region(text, SPEC)


def test_a_region_beyond_the_array_is_refused() -> None:
    with pytest.raises(OutOfRangeError, match="SLs = 9"):
        parse_region("0:1,0:9", SPEC)
