"""What `kit bench` and `kit export` say of models in C: budgets, frames and tables."""

import json
from pathlib import Path

import pytest

from runtime.c.footprint import Footprint
from runtime.commands.footprints import read_budget, read_frame, table
from tests.compilers import needs
from tests.interpreter import Kit


def test_read_budget() -> None:
    assert read_budget("") == {}
    assert read_budget("flash=16k, RAM = 1.5K,stack=256,instructions=1m") == {
        "flash": 16384, "ram": 1536, "stack": 256, "instructions": 2**20
    }  # fmt: skip


@pytest.mark.parametrize("text", ["flash", "flash=", "flash=-1", "flash=inf", "flash=nan", "rom=1", "ram=1,ram=1", "k"])
def test_budgets_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="expected each of flash, ram, stack, instructions once at most"):
        read_budget(text)


def test_read_frame() -> None:
    assert read_frame("320x240") == (320, 240)
    for text in ("320", "320X", "0x", "-1x5", "1x2x3", "3.5x2", ""):
        with pytest.raises(ValueError, match="expected width and height in pixels, such as 320x240, found"):
            read_frame(text)


def test_table() -> None:
    found = {"cortex-m0": Footprint(11_764, 112, 104, 50_733.4), "avr": Footprint(10_854, 112, 52, 179_612.0)}
    assert table(found) == [
        "target     flash, bytes  RAM  stack  instructions an image",
        "cortex-m0        11,764  112    104                 50,733",
        "avr              10,854  112     52         179,612 cycles",
    ]


@needs("cortex-m3")
def test_bench(c_folder: Path, run_kit: Kit) -> None:
    options = (c_folder, "--target", "cortex-m3")
    result = run_kit("bench", *options, "--budget", "flash=16k,stack=256")
    assert (result.exit_code, result.stderr) == (0, "")
    path, header, row = result.stdout.splitlines()
    assert (path, header.split()[0], row.split()[0]) == (str(c_folder), "target", "cortex-m3")
    result = run_kit("bench", *options, "--budget", "flash=1k", "--json")
    assert result.exit_code == 1
    (entry,) = json.loads(result.stdout)
    assert list(entry["targets"]["cortex-m3"]) == ["flash", "ram", "stack", "instructions"]
    found = entry["targets"]["cortex-m3"]["flash"]
    message = f"{c_folder}: expected flash of at most 1,024 on cortex-m3, found {found:,}"
    assert result.stderr == f"kit: {message}\n"


def test_bench_of_a_damaged_one(run_kit: Kit) -> None:
    Path("model_c").mkdir()
    Path("model_c/kit.json").write_text("{}")
    result = run_kit("bench", "model_c")
    assert result.exit_code == 1
    assert result.stderr.startswith("kit: model_c: expected a folder or a library that `kit export --format c` wrote")


@pytest.mark.parametrize("options", [("--target", "avr"), ("--budget", "flash=16k")])
def test_options_that_other_artefacts_do_not_take(options: tuple[str, ...], model: Path, run_kit: Kit) -> None:
    result = run_kit("bench", model, *options)
    assert result.exit_code == 2
    assert "for a model in C alone, found no such artefact" in result.stderr


def test_inspect(c_folder: Path, c_library: Path, run_kit: Kit) -> None:
    for path, kind, frame in ((c_folder, "c", [40, 30]), (c_library, "arduino", None)):
        found = json.loads(run_kit("inspect", path, "--json").stdout)
        assert (found["format"], found["name"], found["frame"]) == (kind, "digits", frame)
        assert found["labels"] == list("0123456789")
        assert f"\nformat            {kind}\n" in run_kit("inspect", path).stdout
