"""The map in the terminal: what each block says of its cells, and how large it is drawn."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from rich.console import Console

from rmhil import Crossbar
from rmhil.cli.live_map import BEYOND, FAILED, LEFT_ALONE, WAITING, WITHIN, LiveMap, half_blocks, in_blocks
from rmhil.write_verify.cell_run import CellRun
from sim_backend import SimBackend

Opener = Callable[..., SimBackend]


def block(*cells: int) -> int:
    """What one block of these cells is."""
    blocks, size = in_blocks(np.array([cells], dtype=np.int64), 1, 1)
    assert size == (1, len(cells))
    return int(blocks[0, 0])


def test_a_block_is_in_tolerance_only_if_all_of_its_cells_are() -> None:
    assert block(WITHIN, WITHIN, WITHIN) == WITHIN
    assert block(WITHIN, WITHIN, 1) == 1
    assert block(WITHIN, BEYOND, BEYOND) == 3


def test_a_single_failure_is_seen_and_half_of_the_cells_decide_whether_a_block_waits() -> None:
    assert block(FAILED, *[WITHIN] * 15) == FAILED
    assert block(FAILED, *[WITHIN] * 16) == WITHIN
    assert block(WAITING, WITHIN, WITHIN) == WITHIN
    assert block(WAITING, WAITING, WITHIN) == WAITING
    assert block(FAILED, LEFT_ALONE, LEFT_ALONE, LEFT_ALONE) == FAILED
    assert block(LEFT_ALONE, LEFT_ALONE) == LEFT_ALONE


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (128, 128), (512, 512), (3, 1000), (1000, 3)])
def test_every_map_fits_the_terminal_and_shows_every_cell(shape: tuple[int, int]) -> None:
    marks = np.arange(np.prod(shape)).reshape(shape) % 2
    blocks, size = in_blocks(marks, 100, 40)
    assert blocks.shape[0] <= 40
    assert blocks.shape[1] <= 100
    assert blocks.shape[0] * size[0] >= shape[0]
    assert blocks.shape[1] * size[1] >= shape[1]


def test_a_line_of_text_holds_two_rows_of_blocks() -> None:
    lines = half_blocks(np.array([[WITHIN, LEFT_ALONE], [FAILED, LEFT_ALONE], [LEFT_ALONE, WITHIN]]), zoom=1)
    assert [line.plain for line in lines] == ["▀ ", " ▀"]
    assert half_blocks(np.array([[LEFT_ALONE], [WITHIN]]), zoom=1)[0].plain == "▄"


def drawn(live: LiveMap, **settings: object) -> str:
    console = Console(record=True, width=80, height=30, file=io.StringIO(), **settings)  # type: ignore[arg-type]
    console.print(live)
    return console.export_text()


@pytest.fixture
def programmed(open_sim: Opener) -> tuple[LiveMap, list[str]]:
    """A map of a region that was programmed, and what it looked like on the way."""
    region = Crossbar(open_sim(n_bl=8, n_sl=8, cells_at_once=1)).region(slice(2, 5), slice(0, 4))
    target = np.full(region.shape, 40e-6)
    target[0] = np.nan
    live, seen = LiveMap(region), []

    def watch(run: CellRun) -> None:
        live.watch(run)
        if run.reads.any() and len(seen) < 3:
            seen.append(drawn(live, force_terminal=True, color_system="truecolor"))

    live.aim("programming", target, 2e-6)
    region.program(target, watch=watch)
    return live, seen


def test_the_map_names_its_lines_counts_and_ways_to_stop(programmed: tuple[LiveMap, list[str]]) -> None:
    live, seen = programmed
    assert "0 good, 8 at work, 0 failed of 8" in seen[0]
    text = drawn(live, force_terminal=True, color_system="truecolor")
    assert "BL 2 to 4 downwards, SL 0 to 3 to the right" in text
    assert "8 good, 0 at work, 0 failed of 8" in text
    assert "within 2 uS" in text
    assert "q or Ctrl-C: stop after this step" in text
    assert "▀" in text


def test_without_colours_the_numbers_remain(programmed: tuple[LiveMap, list[str]]) -> None:
    text = drawn(programmed[0], color_system=None)
    assert "▀" not in text
    assert "8 good" in text
