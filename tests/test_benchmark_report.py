"""The report at a tiny size: that it runs, refuses wrong answers and notices damage; no time is asserted."""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import bars, damage, installed, measure, report, report_classify, report_export, report_train, subject
from benchmarks.measure import fresh
from runtime import KitError

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits, the model in all forms, and the files that ours and skl2onnx export."""
    place = tmp_path_factory.mktemp("subject")
    assert subject.prepare(place, "digits", None, few=True) == "digits: 1,437 training and 360 test images of 8×8×1"
    if sys.platform == "linux":
        for write in (report_export.ours, report_export.skl2onnx):
            fresh(write, folder=str(place))
    return place


def test_training_counts_the_right_answers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = subject.arrays(folder, "test")[1].tolist()
    answers[0] = -1
    monkeypatch.setattr(report_train, "fresh", lambda *_, **__: {"answers": answers, "seconds": 1.0})
    assert report_train.run(report_train.ours, folder, {})["accuracy"] == pytest.approx(359 / 360)
    monkeypatch.setattr(report_train, "fresh", lambda *_, **__: {"answers": answers[1:], "seconds": 1.0})
    with pytest.raises(click.ClickException, match="expected 360 answers, found 359"):
        report_train.run(report_train.ours, folder, {})


def test_training_refuses_who_did_not_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    run = {"wall": 61.0, "seconds": 2.0, "accuracy": 0.5, "peak": 1, "note": ""}
    monkeypatch.setattr(report_train, "run", lambda *_: run)
    with pytest.raises(click.ClickException, match=r"a test accuracy of at least 0\.8, found 0\.5"):
        report_train.measure(Path(), rounds=2)


def test_slow_ones_train_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def run(train: Any, *_: object) -> dict[str, Any]:
        calls.append(train.__name__)
        wall = 61.0 if train is report_train.textbook else 1.0
        return {"wall": wall, "seconds": 1.0, "accuracy": 0.9, "peak": 10, "note": ""}

    monkeypatch.setattr(report_train, "run", run)
    found = report_train.measure(Path(), rounds=3, iterations=7)
    assert {name: calls.count(name) for name in calls} == {"ours": 3, "textbook": 1, "logistic": 6, "sgd": 3}
    shares = measure.ratios(found, report_train.RATIOS)
    assert shares["time, the whole process"]["textbook: DataLoader, autograd, torch.optim.SGD"] == 61
    assert "≤ 7 iterations" in measure.compared(found, report_train.RATIOS, report_train.FIGURES)


@linux
@pytest.mark.slow
def test_scikit_learn_says_what_did_not_converge(folder: Path) -> None:
    figures = fresh(report_train.logistic, folder=str(folder), solver="saga", iterations=2)
    assert figures["note"] == "did not converge in 2 iterations"
    assert len(figures["answers"]) == 360


@linux
@pytest.mark.parametrize("name", ["ours", "skl2onnx"])
def test_exports_answer_rightly(name: str, folder: Path) -> None:
    place = folder / name
    report_export.check_answers(name, place / "model.onnx", folder)
    about = report_export.about(place)
    assert about["files"] == 1
    assert about["size"] == (place / "model.onnx").stat().st_size
    if name == "ours":
        assert (about["opset"], about["ir"], about["oldest"]) == (13, 7, "1.15")


@linux
@pytest.mark.parametrize("name", ["ours", "skl2onnx"])
def test_an_export_that_answers_wrongly_is_refused(name: str, folder: Path) -> None:
    numbers = np.load(folder / "weights.npz")
    changed = damage.swapped(numbers["weights"], numbers["bias"])[0]
    path = damage.weights_replaced(folder / name, numbers["weights"], changed)
    with pytest.raises(click.ClickException, match=r"probabilities within 0\.0001 of the trained model's"):
        report_export.check_answers(name, path, folder)


def test_the_oldest_onnxruntime() -> None:
    assert [report_export.oldest(*versions) for versions in ((13, 7), (13, 10), (20, 9), (99, 7))] == [
        "1.15",
        "1.18",
        "1.17",
        "none up to 1.32",
    ]


@linux
def test_all_damage_to_ours_is_caught(folder: Path) -> None:
    numbers = np.load(folder / "weights.npz")
    damages = damage.damaged(folder / "ours", numbers["weights"], numbers["bias"])
    for path in (path for files in damages.values() for path in files):
        with pytest.raises(KitError):
            damage.open_ours(path)
    damage.open_ours(folder / "ours" / "model.onnx")


def test_all_wrong_exports_of_ours_are_caught(folder: Path) -> None:
    assert damage.wrong_exports(folder, "ours") == dict.fromkeys(damage.WRONG, True)


def test_only_the_errors_that_are_meant_count_as_caught() -> None:
    def refuse() -> None:
        raise KitError("refused")

    assert damage.caught(refuse, KitError)
    assert not damage.caught(lambda: None)
    with pytest.raises(ZeroDivisionError):
        damage.caught(lambda: 1 / 0, KitError)


@linux
def test_a_wrong_export_of_a_peer_answers_otherwise(folder: Path) -> None:
    assert damage.wrong_exports(folder, "skl2onnx") == dict.fromkeys(damage.WRONG, False)


@linux
@pytest.mark.parametrize("name", ["ours", "bare", "skl2onnx"])
def test_classifying(name: str, folder: Path) -> None:
    figures = report_classify.run(name, folder, 0.02)
    assert {"p50", "p99", "png_p50", "png_p99", "batch", "cold"} <= set(figures)
    assert figures["peak"] > 10_000_000


def test_classifying_refuses_wrong_answers(folder: Path) -> None:
    expected = np.load(folder / "expected.npy")
    np.testing.assert_array_equal(report_classify.right("it", expected, expected), expected.argmax(axis=1))
    with pytest.raises(click.ClickException, match="expected it: probabilities within"):
        report_classify.right("it", expected[:, ::-1], expected)


def test_what_an_install_takes() -> None:
    plain, training = set(installed.needed(["softmax-kit"])), set(installed.needed(["softmax-kit[train]"]))
    assert {"click", "numpy", "onnxruntime", "softmax-kit"} <= plain
    assert "torch" not in plain
    assert plain | {"torch", "scikit-learn", "onnx"} <= training
    alone = installed.own_size(installed.needed(["softmax-kit"])["softmax-kit"])
    assert 100_000 < alone < installed.size(["onnxruntime"]) < installed.size(["softmax-kit"])


def test_ratios() -> None:
    found: measure.Found = {"ours": {"a": 2.0, "b": 1.0}, "peer": {"a": 5.0}}
    assert measure.multiples(found, "a") == {"ours": 1.0, "peer": 2.5}
    assert measure.multiples(found, "b") == {"ours": 1.0}
    assert [measure.multiple(ratio) for ratio in (0.0123, 1, 2.345, 34.56, 123.4, 12345)] == [
        "0.0123", "1", "2.35", "34.6", "123", "12,345",
    ]  # fmt: skip


def test_a_picture_is_small_and_the_same_each_time(tmp_path: Path) -> None:
    peers = {"ours": 1.0, "a peer": 30.0, "another": 0.5}
    panels = {f"cost {number}": peers for number in range(7)}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        bars.draw(panels, tmp_path / name / "bars.svg")
    data = (tmp_path / "a" / "bars.svg").read_bytes()
    assert data == (tmp_path / "b" / "bars.svg").read_bytes()
    assert len(data) < report.MOST_PICTURE
    text = "".join(ET.fromstring(data).itertext())
    assert all(shown in text for shown in ("a peer", "30.0×", "0.5×", "cost 6"))


def test_tables_go_between_the_marks_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{measure.BEGIN}\nold\n{measure.END}\nafter\n")
    measure.put(page, "new")
    assert page.read_text() == f"before\n{measure.BEGIN}\n\nnew\n\n{measure.END}\nafter\n"
    page.write_text("no marks")
    with pytest.raises(click.ClickException, match="put them in"):
        measure.put(page, "new")


def test_says_which_folder_is_missing(tmp_path: Path) -> None:
    result = CliRunner().invoke(report.main, [], env={"KIT_DATA_DIR": str(tmp_path)})
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "Fashion-MNIST" in result.stderr


def test_a_quick_run_is_not_published(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("")
    assert CliRunner().invoke(report.main, ["--quick", "--write", str(page)]).exit_code == 2


@linux
@pytest.mark.slow
def test_the_quick_run(tmp_path: Path) -> None:
    output = measure.process("-m", "benchmarks.report", "--quick", "--data-dir", tmp_path)
    assert "digits: 1,437 training" in output
    assert all(f"## {title}" in output for title in report.QUESTIONS.values())
