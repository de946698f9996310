"""C identifiers of any data name, and numbers that C reads back."""

import ctypes
import keyword
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from export import ExportError
from export.c.identifiers import LONGEST, TAKEN, VALID, check_identifier, decimal, identifier, numbers


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fashion-mnist", "fashion_mnist"),
        ("3d", "model_3d"),
        ("int", "int_model"),
        ("String", "string_model"),
        ("犬猫", "model"),
        ("Fotos (März) №2", "fotos_m_rz_2"),
        ("__init__", "init"),
        ("", "model"),
        ("Arduino", "arduino_model"),
        ("a" * 80, "a" * LONGEST),
        ("x" * 30 + " y", "x" * 30),
    ],
)
def test_an_identifier_of_any_name(name: str, expected: str) -> None:
    assert identifier(name) == expected
    assert VALID.fullmatch(expected)
    assert check_identifier(expected if len(expected) <= LONGEST else expected[:LONGEST]) in (expected, expected[:31])


@pytest.mark.parametrize("name", ["", "Int", "int", "3d", "a b", "a-b", "math", "ä", "a" * 32, "_a"])
def test_what_can_be_no_prefix_is_refused_with_one_that_can(name: str) -> None:
    with pytest.raises(ExportError, match="expected a name for C of at most 31 small letters") as error:
        check_identifier(name)
    assert check_identifier(str(error.value).rpartition("such as ")[2])


def test_keywords_of_c_are_taken(tmp_path: Path) -> None:
    """As the compiler has them: a variable of each name, and of Python's keywords that C has too."""
    compiler = shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        pytest.skip("no C compiler")
    for word in ("while", "restrict", "inline", "typedef", "register", "goto", *set(keyword.kwlist) & TAKEN):
        (tmp_path / "x.c").write_text(f"int {word} = 1;\n")
        valid = subprocess.run([compiler, "-std=c99", "-c", "x.c", "-o", "x.o"], cwd=tmp_path, capture_output=True)
        assert word in TAKEN
        assert valid.returncode != 0 or word not in ("while", "restrict", "inline", "typedef", "register", "goto")


def test_a_float_reads_back_as_the_same_bits() -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, 2000, dtype=np.uint64).astype(np.uint32)
    for value in bits.view(np.float32)[np.isfinite(bits.view(np.float32))].tolist():
        text = decimal(value)
        assert text.endswith("f")
        assert "." in text or "e" in text
        assert struct.pack("f", ctypes.c_float(float(text[:-1])).value) == struct.pack("f", value)
    assert decimal(1.0) == "1.0f"


def test_numbers_are_wrapped() -> None:
    text = numbers(range(100))
    assert max(map(len, text.splitlines())) <= 116
    assert [int(word) for word in text.replace(",", " ").split()] == list(range(100))
