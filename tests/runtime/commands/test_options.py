"""The folder of a run in place of its artefact."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.interpreter import Kit
from trainer import Dataset

CALLS = [
    ["classify", "digit.png", "--model", "run"],
    ["evaluate", "--model", "run", "--data", "digits"],
    ["selftest", "run"],
    ["inspect", "run"],
    ["bench", "run", "--seconds", "0.1"],
]


@pytest.mark.parametrize("arguments", CALLS, ids=lambda arguments: str(arguments[0]))
def test_a_run_stands_for_its_artefact(arguments: list[str], run_kit: Kit, model: Path, digits: Dataset) -> None:
    Path("run").mkdir()
    Path("run/model.safetensors").touch()
    Image.fromarray(digits.test.images[0].numpy().squeeze()).save("digit.png")
    result = run_kit(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "kit: run: expected model.onnx in the run, found none: kit export run\n"
    Path("run/model.safetensors").unlink()
    shutil.copy(model, "run")
    named = [argument.replace("run", "run/model.onnx") for argument in arguments]
    found, expected = run_kit(*arguments), run_kit(*named)
    assert found.exit_code == expected.exit_code == 0
    if arguments[0] == "bench":
        assert found.stdout.splitlines()[1].split()[:2] == expected.stdout.splitlines()[1].split()[:2]
    else:
        assert found.stdout == expected.stdout


def test_a_folder_that_is_no_run(run_kit: Kit) -> None:
    Path("folder").mkdir()
    result = run_kit("selftest", "folder")
    assert result.exit_code == 1
    assert "kit: folder: expected an artefact, found: Is a directory" in result.stderr
