"""The commands `benchmarks.features` and `benchmarks.parity`."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from benchmarks import features, parity


def test_a_data_set_has_to_be_named() -> None:
    result = CliRunner().invoke(features.main, [], env={"KIT_DATA_DIR": ""})
    assert result.exit_code == 2
    assert "expected --flowers, --cifar or --data-dir" in result.stderr


def test_says_which_package_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "PEER", "no_such_package")
    result = CliRunner().invoke(features.main, ["--flowers", str(tmp_path)])
    assert (result.exit_code, result.stderr.endswith("pip install no-such-package\n")) == (1, True)


@pytest.mark.parametrize("command", [features.main, parity.main])
def test_says_which_folder_is_missing(command: click.Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.studies.features.one_thread", lambda: None)  # it would hold for the other tests
    result = CliRunner().invoke(command, ["--data-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "Fashion-MNIST" in result.stderr
