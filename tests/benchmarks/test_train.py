"""The command `benchmarks.train`."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import train


@pytest.mark.parametrize("command", ["core", "whole", "accuracy", "optimum"])
def test_says_which_folder_is_missing(command: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(train.main, [command], env={"KIT_DATA_DIR": str(tmp_path)})
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "Fashion-MNIST" in result.stderr
