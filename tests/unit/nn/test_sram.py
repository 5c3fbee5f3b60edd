"""What a bank promises about capacity, formats and traffic."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from rmhil.errors import ConfigError, OutOfRangeError, SramCapacityError, UnknownNameError
from rmhil.ledger import Ledger
from rmhil.nn.sram import SRAM_FORMATS, SramBank


@pytest.mark.parametrize(
    ("name", "bits"),
    [("float32", 6 * 20 * 32), ("float16", 6 * 20 * 16), ("bfloat16", 6 * 20 * 16), ("int8", 6 * 20 * 8 + 6 * 16)],
)
def test_a_matrix_takes_its_values_and_the_scale_of_each_row(name: str, bits: int) -> None:
    bank = SramBank(4096, name)
    assert bank.format.bits((6, 20)) == bits
    assert bank.size((6, 20)) == bits // 8


def test_a_convolution_has_one_scale_for_each_output_channel() -> None:
    assert SramBank(4096, "int8").format.bits((4, 3, 5, 5)) == 4 * 75 * 8 + 4 * 16


def test_what_does_not_fit_is_refused_and_nothing_is_allocated() -> None:
    bank = SramBank(100, name="bank 3")
    bank.allocate("first", 60)
    with pytest.raises(SramCapacityError, match="bank 3: 41 bytes asked for, 40 free of 100 bytes"):
        bank.allocate("second", 41)
    assert bank.contents == {"first": 60}
    bank.allocate("second", 40)
    assert bank.available == 0


def test_freed_bytes_can_be_used_again() -> None:
    bank = SramBank(100)
    handle = bank.allocate("first", 100)
    bank.free(handle)
    assert bank.used == 0
    bank.allocate("second", 100)
    assert bank.contents == {"second": 100}


def test_an_allocation_is_freed_once() -> None:
    bank = SramBank(100)
    handle = bank.allocate("first", 10)
    bank.free(handle)
    with pytest.raises(UnknownNameError, match="SRAM allocation"):
        bank.free(handle)


def test_labels_may_repeat() -> None:
    bank = SramBank(100)
    bank.allocate("forget", 10)
    bank.allocate("forget", 20)
    assert bank.contents == {"forget": 30}


@pytest.mark.parametrize("capacity", [1.5, True, "64", None])
def test_a_capacity_is_a_whole_number(capacity: object) -> None:
    with pytest.raises(ConfigError, match="capacity"):
        SramBank(capacity)


@pytest.mark.parametrize("capacity", [0, -1])
def test_a_capacity_is_at_least_one_byte(capacity: int) -> None:
    with pytest.raises(OutOfRangeError, match="capacity"):
        SramBank(capacity)


def test_an_unknown_format_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="bfloat16, float16, float32, int8"):
        SramBank(100, "float8")


def test_traffic_is_counted_here_and_in_the_ledger() -> None:
    ledger = Ledger()
    bank = SramBank(100, ledger=ledger)
    bank.count_read(7)
    bank.count_write(5)
    bank.count_write(4)
    assert (bank.bits_read, bank.bits_written) == (7, 9)
    assert (ledger.counts.sram_bits_read, ledger.counts.sram_bits_written) == (7, 9)


def test_a_copy_has_its_own_allocations_and_the_same_ledger() -> None:
    bank = SramBank(100, ledger=Ledger())
    handle = bank.allocate("first", 10)
    other = copy.deepcopy(bank)
    other.free(handle)
    assert (bank.used, other.used) == (10, 0)
    assert other.ledger is bank.ledger


def test_a_bank_survives_pickling() -> None:
    bank = SramBank(100, "int8", name="near")
    bank.allocate("first", 10)
    restored = pickle.loads(pickle.dumps(bank))
    assert (restored.contents, restored.format, restored.name) == (bank.contents, bank.format, "near")


@pytest.mark.parametrize("name", list(SRAM_FORMATS))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_gradient_passes_straight_through_the_rounding(name: str, dtype: torch.dtype) -> None:
    values = torch.linspace(-1, 1, 12, dtype=dtype).reshape(3, 4).requires_grad_()
    weights = torch.arange(12, dtype=dtype).reshape(3, 4)
    (SramBank(100, name).stored(values) * weights).sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad, weights, rtol=0, atol=0)


def test_float32_values_are_stored_as_they_are() -> None:
    values = torch.randn(5, 5, generator=torch.Generator().manual_seed(1))
    assert SramBank(100).stored(values) is values


def test_a_float32_bank_holds_no_more_than_32_bits_of_a_float64_value() -> None:
    values = torch.tensor([[1 + 2.0**-40]], dtype=torch.float64)
    assert SramBank(100).stored(values).item() == 1.0


def test_a_row_of_zeros_stays_zero_in_int8() -> None:
    values = torch.tensor([[0.0, 0.0, 0.0], [1.0, -0.5, 0.0]], requires_grad=True)
    stored = SramBank(100, "int8").stored(values)
    torch.testing.assert_close(stored[0], torch.zeros(3), rtol=0, atol=0)
    stored.sum().backward()
    assert torch.isfinite(values.grad).all()


def test_rows_have_scales_of_their_own() -> None:
    stored = SramBank(100, "int8").stored(torch.tensor([[1e-6, -1e-6], [1e3, 1e3]]))
    torch.testing.assert_close(stored, torch.tensor([[1e-6, -1e-6], [1e3, 1e3]]), rtol=2**-8, atol=0)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", list(SRAM_FORMATS))
def test_a_broken_value_is_never_stored_as_a_number(name: str, broken: float) -> None:
    stored = SramBank(100, name).stored(torch.tensor([[broken, 1.0], [1.0, 1.0]]))
    assert not torch.isfinite(stored[0, 0])
    assert torch.isfinite(stored[1]).all()
