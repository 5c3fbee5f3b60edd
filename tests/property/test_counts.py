from __future__ import annotations

import json
from dataclasses import fields
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmhil.backend import ArraySpec
from rmhil.ledger import Counts, Ledger
from rmhil.wiring import Wiring

_INTEGERS = [field.name for field in fields(Counts) if field.default == 0 and isinstance(field.default, int)]
_FLOATS = [field.name for field in fields(Counts) if isinstance(field.default, float)]

whole_counts = st.builds(Counts, **{name: st.integers(0, 10**15) for name in _INTEGERS})
any_counts = st.builds(
    Counts,
    **{name: st.integers(0, 10**15) for name in _INTEGERS},
    **{name: st.floats(0, 1e6) for name in _FLOATS},
)


@given(whole_counts, whole_counts, whole_counts)
def test_counts_add_in_any_order_and_grouping(a: Counts, b: Counts, c: Counts) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Counts() == a


@given(whole_counts, whole_counts)
def test_subtracting_counts_undoes_adding_them(a: Counts, b: Counts) -> None:
    assert (a + b) - b == a
    assert a - a == Counts()


@given(any_counts, any_counts)
def test_energies_add_like_numbers(a: Counts, b: Counts) -> None:
    total = a + b
    for name in _FLOATS:
        assert getattr(total, name) == pytest.approx(getattr(a, name) + getattr(b, name))


@given(any_counts, any_counts)
def test_pulses_are_those_of_all_kinds(a: Counts, b: Counts) -> None:
    assert (a + b).pulses == a.pulses + b.pulses


@given(any_counts)
def test_counts_come_back_from_json_unchanged(counts: Counts) -> None:
    assert Counts.from_dict(json.loads(json.dumps(counts.to_dict()))) == counts


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=6))
def test_the_stages_between_marks_add_up_to_the_whole(work: list[tuple[int, int]]) -> None:
    ledger, names = Ledger(), ["start"]
    ledger.mark("start")
    for number, (bits, macs) in enumerate(work):
        ledger.count_sram(bits_written=bits)
        ledger.count_macs(macs, "lora")
        names.append(f"stage {number}")
        ledger.mark(names[-1])
    stages = [ledger.between(a, b) for a, b in pairwise(names)]
    assert sum(stages, Counts()) == ledger.counts


@given(
    bl=st.sets(st.integers(0, 31), min_size=1).map(sorted),
    sl=st.sets(st.integers(0, 31), min_size=1).map(sorted),
    channels=st.tuples(st.integers(1, 32), st.integers(1, 32)),
    vectors=st.integers(0, 5),
)
def test_every_chosen_cell_takes_part_once_a_vector(
    bl: list[int], sl: list[int], channels: tuple[int, int], vectors: int
) -> None:
    wiring = Wiring(bl_channels=channels[0], sl_channels=channels[1])
    spec = ArraySpec(
        provenance="test", n_arrays=1, n_bl=32, n_sl=32, conductance_min=1e-5, conductance_max=8e-5, wiring=wiring
    )
    ledger = Ledger()
    ledger.count_mvm(spec, vectors, bl, sl)
    counts = ledger.counts
    assert counts.analog_macs == vectors * len(bl) * len(sl)
    assert counts.passes == vectors * len(spec.passes(bl, sl))
    assert counts.dac_conversions % max(vectors * len(bl), 1) == 0
    assert counts.adc_conversions >= vectors * len(sl)
