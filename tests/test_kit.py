"""The command line as a whole: its help, its version, and wrong calls."""

import pytest

import kit
from tests.interpreter import Kit


def test_help_names_every_command_in_order(run_kit: Kit) -> None:
    lines = run_kit("--help").stdout.partition("Commands:")[2].splitlines()
    assert [line.split()[0] for line in lines if line.strip()] == list(kit.COMMANDS)
    for name in kit.COMMANDS:
        assert run_kit(name, "--help").exit_code == 0


def test_version(run_kit: Kit) -> None:
    assert run_kit("--version").stdout.startswith("kit, version ")


@pytest.mark.parametrize("arguments", [["no-such-command"], ["--no-such-option"]])
def test_wrong_calls(run_kit: Kit, arguments: list[str]) -> None:
    result = run_kit(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_bug_is_not_hidden(run_kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.commands.classify.load", lambda _: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        run_kit("classify", "image.png", "--model", "model.onnx")
