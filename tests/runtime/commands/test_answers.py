"""How answers are printed, where the command fails in between."""

import json

import pytest

from runtime.commands.answers import as_items, as_lines

ANSWER = {"image": "a.png", "top": [{"label": "x\x1b", "probability": 0.5}], "accepted": None, "familiar": True}


def test_a_list_without_items(capsys: pytest.CaptureFixture[str]) -> None:
    with as_items():
        pass
    assert capsys.readouterr().out == "[]\n"


@pytest.mark.parametrize("answers", [0, 1, 2])
def test_a_list_whose_making_fails(answers: int, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with as_items() as show:
            for _ in range(answers):
                show(ANSWER, 5)
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        fail()
    printed = capsys.readouterr().out
    assert printed == (json.dumps([ANSWER] * answers, indent=2) + "\n" if answers else "")


def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with as_lines() as show:
        show(ANSWER, 5)
        show({"image": "bad.png", "error": "bad"}, 9)
        show(ANSWER, 7)
    assert capsys.readouterr().out == "a.png  x\\x1b 0.5000\na.png      x\\x1b 0.5000\n"
