"""`kit evaluate`: an artefact's figures on a data set, against those that the trainer wrote and scikit-learn's."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sklearn import metrics

import runtime
from export import export
from runtime.errors import DataError
from runtime.evaluation import Answers, figures, places
from tests.export.folders import lay_out
from tests.formats import OPENED
from tests.interpreter import Kit, run_python
from trainer import Checkpoint, Dataset, FitConfig, fit
from trainer.data.dataset import Split

HOSTILE = "\x1b[31mdark"


def evaluate(run_kit: Kit, model: Path | str, data: Path | str, *arguments: str) -> Any:
    result = run_kit("evaluate", "--model", model, "--data", data, "--json", *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def compare_with_report(found: dict[str, Any], report: dict[str, Any]) -> None:
    assert found["images"] == report["data"]["test_images"]
    assert found["accuracy"] == pytest.approx(report["figures"]["test_accuracy"], abs=1e-12)
    assert found["loss"] == pytest.approx(report["figures"]["test_loss"], abs=1e-6)
    assert found["confusion_matrix"] == report["metrics"]["confusion_matrix"]
    assert found["per_class"] == report["metrics"]["per_class"]
    assert found["calibration_error"] == pytest.approx(report["metrics"]["calibration_error"], abs=1e-6)


def test_the_figures_are_those_of_the_report(run_kit: Kit) -> None:
    trained = run_kit("train", "--data", "digits", "--epochs", "2", "--device", "cpu", "--no-report")
    assert trained.exit_code == 0
    assert run_kit("export", "runs/digits").exit_code == 0
    found = evaluate(run_kit, "runs/digits/model.onnx", "digits")
    assert (found["model"], found["data"]) == ("runs/digits/model.onnx", "digits")
    assert found["digest"] == runtime.load("runs/digits/model.onnx").info()["digest"]
    compare_with_report(found, json.loads(Path("runs/digits/report.json").read_text()))


def test_a_folder_is_split_as_for_training(run_kit: Kit, digits: Dataset) -> None:
    """So that no training image is among the test images, whatever the seed."""
    lay_out(Path("pictures"), digits, digits.labels, each=30)
    settings = ("--epochs", "2", "--seed", "5", "--image-size", "12", "--color", "RGB", "--device", "cpu")
    assert run_kit("train", "--data", "pictures", *settings, "--no-report").exit_code == 0
    assert run_kit("export", "runs/pictures").exit_code == 0
    report = json.loads(Path("runs/pictures/report.json").read_text())
    compare_with_report(evaluate(run_kit, "runs/pictures/model.onnx", "pictures"), report)


@pytest.mark.parametrize("name", OPENED)
def test_against_scikit_learn(name: str, run_kit: Kit, exported: dict[str, Path], digits: Dataset) -> None:
    found = evaluate(run_kit, exported[name], "digits")
    images, targets = digits.test.images.numpy(), digits.test.targets.numpy()
    probabilities = runtime.load(exported[name]).probabilities(images)
    predicted = probabilities.argmax(axis=1)
    assert found["accuracy"] == metrics.accuracy_score(targets, predicted)
    doubles = probabilities.astype(np.float64)
    expected = metrics.log_loss(targets, doubles / doubles.sum(axis=1, keepdims=True))
    assert found["loss"] == pytest.approx(expected, abs=1e-6)
    assert found["confusion_matrix"] == metrics.confusion_matrix(targets, predicted).tolist()
    rows = found["per_class"]
    assert list(rows) == list(digits.labels)
    assert [row["f1"] for row in rows.values()] == metrics.f1_score(targets, predicted, average=None).tolist()


def test_labels_in_another_order(run_kit: Kit, checkpoint: Checkpoint, model: Path, tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(10)
    shuffled = replace(
        checkpoint,
        labels=tuple(checkpoint.labels[index] for index in order),
        weights=checkpoint.weights[:, order].copy(),
        bias=checkpoint.bias[order].copy(),
        golden_probabilities=checkpoint.golden_probabilities[:, order].copy(),
    )
    export(shuffled, "onnx", tmp_path / "shuffled.onnx")
    found, straight = (evaluate(run_kit, path, "digits") for path in (tmp_path / "shuffled.onnx", model))
    assert (found["accuracy"], found["per_class"]) == (straight["accuracy"], straight["per_class"])
    assert found["loss"] == pytest.approx(straight["loss"], abs=1e-6)
    assert list(found["per_class"]) == list(shuffled.labels)
    matrix = np.array(straight["confusion_matrix"])
    assert found["confusion_matrix"] == matrix[np.ix_(order, order)].tolist()


def test_text(run_kit: Kit, model: Path) -> None:
    found = evaluate(run_kit, model, "digits")
    result = run_kit("evaluate", "--model", model, "--data", "digits")
    assert (result.exit_code, result.stderr) == (0, "")
    first, _, header, *rows = result.stdout.splitlines()
    assert first == (
        f"digits: 360 test images, accuracy {found['accuracy']:.4f}, loss {found['loss']:.4f}, "
        f"calibration error {found['calibration_error']:.4f} ({found['calibration_error_by_chance']:.4f} by chance)"
    )
    assert header.split() == ["label", "precision", "recall", "f1", "images"]
    for row, (label, scores) in zip(rows, found["per_class"].items(), strict=False):
        shares = [f"{scores[name]:.4f}" for name in ("precision", "recall", "f1")]
        assert row.split() == [label, *shares, str(scores["images"])]
    assert rows[10:12] == ["", "confusion matrix: a row for each true label, a column for each predicted one"]
    assert [list(map(int, row.split()[1:])) for row in rows[12:]] == found["confusion_matrix"]


@pytest.mark.parametrize(("classes", "key"), [(100, "confusion_matrix"), (101, "confusion_cells")])
def test_of_many_labels(classes: int, key: str, run_kit: Kit, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    targets = torch.arange(2 * classes) % classes
    images = torch.from_numpy(generator.integers(0, 256, (2 * classes, 4, 4, 3), dtype=np.uint8))
    labels = tuple(f"label {index:03}" for index in range(classes))
    split = Split(images, targets)
    data = Dataset(name="many", labels=labels, train=split, test=split)
    export(fit(data, FitConfig(solver="sgd", epochs=1, device="cpu")).checkpoint, "onnx", tmp_path / "many.onnx")
    lay_out(tmp_path / "many", data, labels, each=2)
    found = evaluate(run_kit, tmp_path / "many.onnx", tmp_path / "many", "--all")
    assert {name for name in found if "confusion" in name} == {key}
    result = run_kit("evaluate", "--model", tmp_path / "many.onnx", "--data", tmp_path / "many", "--all")
    assert result.stdout.splitlines()[-1] == f"confusion matrix: {classes} × {classes}, in --json"


@pytest.fixture
def two(tiny: Dataset, tmp_path: Path) -> Callable[..., Path]:
    """An artefact of two labels for images of one size, and a folder of such images."""

    def two(labels: tuple[str, str], side: slice) -> Path:
        splits = [
            replace(tiny.train, images=tiny.train.images[:][:, side].contiguous(), targets=tiny.train.targets % 2)
        ] * 2
        data = Dataset(name="two", labels=labels, train=splits[0], test=splits[1])
        lay_out(tmp_path / "two", data, labels, each=10)
        checkpoint = fit(data, FitConfig(epochs=1, device="cpu")).checkpoint
        return export(checkpoint, "onnx", tmp_path / "two.onnx").path

    return two


def test_hostile_labels(run_kit: Kit, two: Callable[..., Path]) -> None:
    model = two((HOSTILE, "light"), slice(0, 5))
    found = evaluate(run_kit, model, "two")
    assert set(found["per_class"]) == {HOSTILE, "light"}
    result = run_kit("evaluate", "--model", model, "--data", "two")
    assert result.exit_code == 0
    assert result.stdout.count(r"\x1b[31mdark") == 2
    assert "\x1b" not in result.stdout


def test_images_that_are_not_square(run_kit: Kit, two: Callable[..., Path]) -> None:
    model = two(("a", "b"), slice(0, 6))
    assert runtime.load(model).metadata.image.shape == (6, 5, 3)
    assert evaluate(run_kit, model, "two")["images"] > 0


def test_other_labels(run_kit: Kit, model: Path, digits: Dataset) -> None:
    lay_out(Path("pictures"), digits, (*digits.labels[:5], "five", HOSTILE), each=5)
    result = run_kit("evaluate", "--model", model, "--data", "pictures")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "kit: pictures: expected some of the model's 10 labels '0', '1', '2' and 7 more, found also "
        r"'\x1b[31mdark', 'five': rename these, or leave them out" + "\n"
    )


def test_labels_that_are_taken_for_the_models() -> None:
    message = r"pets: expected labels that differ in .*, found 'Cat' in the data and 'cat' in the model: write them"
    with pytest.raises(DataError, match=message):
        places("pets", ["Cat", "dog"], ["dog", "cat"])
    with pytest.raises(DataError, match="found also 'cow'"):
        places("pets", ["Cat", "cat", "cow"], ["cat", "Cat"])
    assert places("pets", ["Cat", "cat"], ["cat", "Cat"]).tolist() == [1, 0]


def test_parquet_with_a_model_of_a_folder(run_kit: Kit, digits: Dataset, tmp_path: Path) -> None:
    lay_out(Path("pictures"), digits, digits.labels[:3], each=20)
    settings = ("--image-size", "8", "--color", "L", "--device", "cpu", "--no-report")
    assert run_kit("train", "--data", "pictures", *settings).exit_code == 0
    assert run_kit("export", "runs/pictures").exit_code == 0
    paths = sorted(Path("pictures").rglob("*.png"))
    rows = {"image": [path.read_bytes() for path in paths], "label": [path.parent.name for path in paths]}
    pq.write_table(pa.table(rows), tmp_path / "x.parquet")
    expected = evaluate(run_kit, "runs/pictures/model.onnx", "pictures", "--all")
    found = evaluate(run_kit, "runs/pictures/model.onnx", tmp_path / "x.parquet", "--all")
    assert found == expected | {"data": "x"}


def test_some_of_the_labels(run_kit: Kit, model: Path, digits: Dataset) -> None:
    lay_out(Path("some"), digits, digits.labels[:3], each=5)
    found = evaluate(run_kit, model, "some", "--all")
    assert [row["images"] for row in found["per_class"].values()] == [5] * 3 + [0] * 7


def test_probabilities_of_0_have_a_finite_loss(digits: Dataset) -> None:
    answers = Answers("digits", "images", np.array([0, 1]), np.eye(10, dtype=np.float32)[[0, 0]])
    found = figures(digits.labels, answers)
    assert (found["accuracy"], found["loss"]) == (0.5, pytest.approx(87.34 / 2, abs=0.01))


@pytest.mark.parametrize(
    ("model_name", "data", "message"),
    [
        ("absent.onnx", "digits", "absent.onnx: expected an artefact, found: No such file or directory"),
        ("folder", "digits", "folder: expected an "),
        ("empty.onnx", "digits", "empty.onnx: expected an "),
        ("torchscript", "digits", ": expected an ONNX artefact, found a zip file"),
        (
            "onnx",
            "no-such-data",
            "expected one of fashion-mnist, mnist, kmnist, cifar10, digits, or a folder, an archive or a table",
        ),
        ("onnx", "folder", "folder"),
        ("onnx", "cifar10", "cifar10: expected the files"),
    ],
)
def test_what_cannot_be_done(
    run_kit: Kit, exported: dict[str, Path], model_name: str, data: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr("trainer.data.torchvision._download", offline)
    Path("folder").mkdir()
    Path("empty.onnx").touch()
    result = run_kit("evaluate", "--model", exported.get(model_name, model_name), "--data", data)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1].startswith("kit: ")
    assert message in result.stderr.splitlines()[-1]


@pytest.mark.spawns
@pytest.mark.usefixtures("run_kit")  # which goes to another folder
def test_without_torch_and_scikit_learn(model: Path, digits: Dataset) -> None:
    """The figures of a folder, of a zip of it and of a table are the same, on a device too."""
    lay_out(Path("photos"), digits, digits.labels, each=5)
    shutil.make_archive("archive", "zip", "photos")
    images = sorted(Path("photos").rglob("*.png"))
    rows = [f"{path},{path.parent.name}" for path in images]
    Path("labels.csv").write_text("\n".join(["file,label", *rows]))
    missing = ["torch", "torchvision", "sklearn", "onnx", "safetensors", "pyarrow", "matplotlib"]
    code = "import kit\nkit.main(['evaluate', '--json', '--model', *sys.argv[1:]])"
    found = []
    for data in ("photos", "archive.zip", "labels.csv"):
        result = run_python(code, model, "--data", data, without=missing)
        assert (result.returncode, result.stderr) == (0, "")
        found.append({name: value for name, value in json.loads(result.stdout).items() if name != "data"})
    assert found[0] == found[1] == found[2]
    assert found[0]["images"] == 10


@pytest.mark.spawns
def test_digits_without_scikit_learn(model: Path) -> None:
    code = "import kit\nkit.main(['evaluate', '--model', sys.argv[1], '--data', 'digits'])"
    result = run_python(code, model, without=["sklearn"])
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.endswith(" needs sklearn, which is not installed: pip install 'softmax-kit[train]'\n")


def test_a_folder_without_test_images_that_is_not_of_the_training(run_kit: Kit, model: Path, digits: Dataset) -> None:
    own = lay_out(Path("own"), digits, digits.labels, each=60)
    assert (evaluate(run_kit, model, own)["images"], evaluate(run_kit, model, own, "--all")["images"]) == (120, 600)
    train = replace(digits.train, images=255 - digits.train.images[:])
    others = lay_out(Path("others"), replace(digits, train=train), digits.labels, each=5)
    found = evaluate(run_kit, model, others)
    assert (found["images"], found["which"]) == (50, "images")


@pytest.mark.parametrize("arguments", [[], ["--model", "m.onnx"], ["--data", "digits"]])
def test_wrong_calls(run_kit: Kit, arguments: list[str]) -> None:
    result = run_kit("evaluate", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_confusion_matrix_that_is_wider_than_the_terminal(
    run_kit: Kit, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.commands.evaluate.room", lambda: 30)
    assert run_kit("evaluate", "--model", model, "--data", "digits").stdout.endswith(
        "\nconfusion matrix: 10 × 10, in --json\n"
    )
