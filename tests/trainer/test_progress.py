"""Lines of progress on standard error."""

import pytest

from tests.interpreter import Kit
from trainer.config import Choice
from trainer.epoch import Epoch
from trainer.progress import Progress


def row(number: int) -> Epoch:
    return Epoch(
        epoch=number,
        train_loss=0.5,
        train_accuracy=0.8,
        val_loss=None,
        val_accuracy=None,
        test_loss=0.6,
        test_accuracy=0.7,
        seconds=0.01,
    )


def epochs_shown(captured: str) -> list[int]:
    return [int(line.split()[1].partition("/")[0]) for line in captured.splitlines() if line.startswith("epoch ")]


@pytest.mark.parametrize(("sparse", "shown"), [(True, [1, 4, 5]), (False, [1, 2, 3, 4, 5])])
def test_iterations_are_shown_at_most_every_second_and_the_last(
    sparse: bool, shown: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = iter([10.0, 10.0, 10.3, 10.9, 11.1, 11.1, 11.2, 11.2, 11.3, 11.3])
    monkeypatch.setattr("trainer.progress.time.monotonic", lambda: next(times, 11.3))
    lines = Progress(5, sparse=sparse, shown=True)
    with lines.bar(10, 0):
        for number in range(1, 6):
            lines.epoch(row(number))
    assert epochs_shown(capsys.readouterr().err) == shown


def test_what_was_chosen_sets_the_number_of_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Progress(100, sparse=True, shown=True)
    with lines.bar(10, 0):
        lines.choice(Choice(weight_decay=0.25, epochs=7, batch_size=256, lr=0.1, images=6, folds=1))
        lines.epoch(row(1))
        lines.epoch(row(2))
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("weight decay 0.25, by the loss on held-out images (a fifth of 6 training images); SGD")
    assert [line.split()[1] for line in said[1:]] == ["1/7", "2/7"]


def test_a_line_takes_the_place_of_the_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    lines = Progress(2, shown=True)
    with lines.bar(10, 0):
        lines.say("a line")
    before = capsys.readouterr().err.partition("a line\n")[0]
    assert "epoch 1/2" in before
    assert before.endswith("\r")


def test_early_stopping_says_which_epoch_was_kept(run_kit: Kit) -> None:
    settings = ("--val-fraction", "0.3", "--lr", "1", "--epochs", "60", "--no-report")
    result = run_kit("train", "--data", "digits", *settings)
    assert result.exit_code == 0
    shown = epochs_shown(result.stderr)
    assert shown[-1] < 60
    kept = shown[-1] - 3
    assert (
        f"stopped after epoch {shown[-1]}: the validation loss was lowest in epoch {kept}, whose weights were kept"
        in (result.stderr)
    )
