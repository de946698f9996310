"""What is said of images that were read although something about them is not as expected."""

from collections import Counter

import pytest

from runtime.remarks import CLIPPED, WITHOUT_END, Remarks, messages, most, tally

FOUND = [Remarks(), Remarks(without_end=True), Remarks(largest=4095), Remarks(without_end=True, largest=4096)]


def test_of_most_images_there_is_nothing_to_say() -> None:
    assert [bool(one) for one in FOUND] == [False, True, True, True]
    assert bool(Remarks(largest=0))


@pytest.mark.parametrize(("shift", "largest"), [(0, 255), (4, 4095), (8, 65535)])
def test_what_a_shift_does_not_clip(shift: int, largest: int) -> None:
    assert most(shift) == largest
    assert largest >> shift == 255
    assert largest + 1 >> shift == 256


@pytest.mark.parametrize(
    ("shift", "expected"), [(8, {WITHOUT_END: 2}), (4, {WITHOUT_END: 2, CLIPPED: 1}), (3, {WITHOUT_END: 2, CLIPPED: 2})]
)
def test_each_kind_is_counted(shift: int, expected: dict[str, int]) -> None:
    assert tally(FOUND, shift) == Counter(expected)


def test_nothing_is_said_of_what_is_not_there() -> None:
    assert messages(tally([Remarks(), Remarks(largest=65535)], 8), 2, 8) == []


def test_the_messages() -> None:
    assert messages(tally(FOUND * 600, 4), 2400, 4) == [
        "expected JPEG files with an end marker, found 1,200 of 2,400 images without, which were read, as no pixel is "
        "missing: check how the files are copied",
        "expected 16-bit pixels of at most 4,095, found larger ones in 600 of 2,400 images, which became white: check "
        "the camera, or train on such images too",
    ]
