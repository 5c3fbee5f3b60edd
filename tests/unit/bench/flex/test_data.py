from __future__ import annotations

import math

import pytest

from rmhil.bench.errors import DataError
from rmhil.bench.flex.data import Data, byte_count, decode, decode_whole
from rmhil.bench.flex.facts import ERRORS as ERROR_ROWS
from rmhil.bench.flex.facts import FORMATS, SOURCES, STATUS, ErrorRow, Flag, FormatRow, StatusRow

GUIDE_VECTOR = int("11010110000100111000100000000001", 2).to_bytes(4, "big")
"""Channel 1, current, 1 nA range, count 5000: the example of the programming guide, page 1-42."""


def test_the_guides_own_binary_example_is_100_picoampere_of_channel_1() -> None:
    (datum,) = decode(GUIDE_VECTOR, 4)
    assert (datum.channel, datum.kind, datum.flag, datum.source) == (1, "I", Flag.NONE, False)
    assert datum.value == pytest.approx(100e-12, rel=1e-12)


def test_a_count_with_its_top_bit_set_is_negative() -> None:
    word = int.from_bytes(GUIDE_VECTOR, "big") & ~(0x1FFFF << 8) | (2**17 - 5000) << 8
    (datum,) = decode(word.to_bytes(4, "big"), 3)
    assert datum.value == pytest.approx(-100e-12, rel=1e-12)


@pytest.mark.parametrize(("bits", "flag"), [(1, Flag.OTHER_COMPLIANCE), (2, Flag.COMPLIANCE), (4, Flag.UNSETTLED)])
def test_four_byte_status_is_a_number_not_a_bit_mask(bits: int, flag: Flag) -> None:
    word = int.from_bytes(GUIDE_VECTOR, "big") | bits << 5
    assert decode(word.to_bytes(4, "big"), 4)[0].flag == flag


def test_an_over_range_count_is_no_value() -> None:
    word = int.from_bytes(GUIDE_VECTOR, "big") & ~(0x1FFFF << 8) | 65_535 << 8 | 3 << 5
    (datum,) = decode(word.to_bytes(4, "big"), 4)
    assert math.isnan(datum.value)
    assert datum.flag & Flag.OVER_RANGE


@pytest.mark.parametrize("row", STATUS, ids=lambda row: row.letter)
def test_each_status_letter_is_decoded(row: StatusRow) -> None:
    (datum,) = decode(f"{row.letter}BI+001.250E-06".encode(), 1)
    assert datum.flag == row.flag
    assert (datum.channel, datum.kind, datum.value) == (2, "I", 1.25e-6)


def test_eight_is_this_channels_compliance_and_one_is_over_range() -> None:
    own, over = decode(b"008AI+01.00000E-03,001AI+01.00000E-03", 21)
    assert (own.flag, over.flag) == (Flag.COMPLIANCE, Flag.OVER_RANGE)


def test_numeric_statuses_add_up() -> None:
    (datum,) = decode(b"003AI+01.00000E-03", 21)
    assert datum.flag == Flag.OVER_RANGE | Flag.UNSETTLED


def test_the_last_datum_is_no_fault() -> None:
    data = Data.of(decode(b"128AI+01.00000E-03", 21))
    assert not data.flagged.any()


def test_source_data_are_told_from_measured_ones() -> None:
    step, last, old = (
        *decode(b"WAV+001.0000E+00,EAV+002.0000E+00", 11),
        *decode(b"  WAv+01.00000E+00", 21),
    )
    assert step.source
    assert last.source
    assert old.source
    assert old.kind == "V"
    assert step.flag == Flag.NONE


@pytest.mark.parametrize("number", [1, 5, 11, 15])
def test_the_dummy_of_an_abort_is_no_value(number: int) -> None:
    digits = "+199.999E+99" if FORMATS[number].item == 15 else "+199.9990E+99"
    (datum,) = decode(f"VAI{digits}".encode() + FORMATS[number].end, number)
    assert math.isnan(datum.value)
    assert datum.flag & Flag.INVALID


def test_the_dummy_without_a_header_is_no_value_either() -> None:
    (datum,) = decode(b"+199.999E+99\r\n", 2)
    assert math.isnan(datum.value)
    assert datum.flag & Flag.OVER_RANGE


def test_an_unknown_letter_is_not_taken_for_normal() -> None:
    assert decode(b"UAI+001.250E-06", 1)[0].flag == Flag.UNKNOWN


def test_second_channels_have_small_letters() -> None:
    assert decode(b"NeV+001.000E+00", 1)[0].channel == 502


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"NAI+001.250E-0",
        b"NAI+001.250E-06,",
        b"NAI+001.250E-06;NAI+001.250E-06",
        b"NAIxx01.250E-06",
        b"N1I+001.250E-06",
    ],
)
def test_what_is_no_data_is_refused(message: bytes) -> None:
    with pytest.raises(DataError):
        decode(message, 1)


def test_whole_data_before_a_cut_are_kept() -> None:
    found = decode_whole(b"NAI+001.2500E-06,NBI+002.5000E-06,NAI+00", 15)
    assert [item.value for item in found] == [1.25e-6, 2.5e-6]


def test_bytes_of_a_message_count_separators_and_end() -> None:
    assert byte_count(15, 3) == 51
    assert byte_count(1, 2) == 33
    assert byte_count(13, 4) == 34


@pytest.mark.parametrize("row", [*STATUS, *FORMATS.values(), *ERROR_ROWS], ids=str)
def test_every_fact_names_a_known_source(row: StatusRow | FormatRow | ErrorRow) -> None:
    parts = [part.strip() for part in row.source.split(",")]
    keys = {part.split(" ")[0].rstrip("0123456789") for part in parts if part[0].isalpha()}
    assert keys <= {key.rstrip("0123456789") for key in SOURCES}
