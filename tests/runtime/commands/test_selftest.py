"""`kit selftest`."""

from pathlib import Path
from unittest.mock import Mock

import pytest

import runtime
from export.formats import FORMATS
from export.formats.compatibility import Target
from runtime.text import printable
from tests.compilers import ON_EMULATED
from tests.formats import OPENED
from tests.interpreter import Kit, run_python
from trainer import Checkpoint


@pytest.fixture
def wrong(checkpoint: Checkpoint, model: Path, tmp_path: Path) -> Path:
    """An artefact whose golden example 3 has another's probabilities."""
    module, metadata = FORMATS["onnx"].load(), runtime.load(model).metadata
    probabilities = metadata.golden.probabilities.copy()
    probabilities[3] = probabilities[4]
    metadata = metadata._replace(golden=metadata.golden._replace(probabilities=probabilities))
    path = tmp_path / "wrong.onnx"
    path.write_bytes(module.write(module.prepare(checkpoint), metadata, Target()))
    return path


@pytest.mark.parametrize("name", OPENED)
def test_one_line(name: str, run_kit: Kit, exported: dict[str, Path]) -> None:
    result = run_kit("selftest", exported[name])
    assert (result.exit_code, result.stderr) == (0, "")
    start, _, rest = result.stdout.partition(" in ")
    assert rest == f"10 golden examples, tolerance {FORMATS[name].tolerance:g}\n"
    path, _, difference = start.partition(": largest difference ")
    assert path == str(exported[name])
    assert float(difference) == pytest.approx(runtime.load(exported[name]).selftest(), rel=0.05)


def test_the_examples_run_once(run_kit: Kit, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    selftest = Mock(return_value=0.0)
    monkeypatch.setattr(runtime.Classifier, "selftest", selftest)
    assert run_kit("selftest", model).exit_code == 0
    selftest.assert_called_once()


def test_the_worst_example_is_named(run_kit: Kit, wrong: Path) -> None:
    with pytest.raises(runtime.SelfTestError) as failed:
        runtime.load(wrong).selftest()
    result = run_kit("selftest", wrong)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"kit: {wrong}: {failed.value}\n"
    assert "golden example 3" in result.stderr


def test_files_that_cannot_be_tested(run_kit: Kit, exported: dict[str, Path]) -> None:
    Path("folder").mkdir()
    Path("empty").touch()
    Path("cut.onnx").write_bytes(exported["onnx"].read_bytes()[:3000])
    Path("\x1b[31m").write_text("no model")
    for path in ("absent", "folder", "empty", "cut.onnx", "\x1b[31m", exported["torchscript"], exported["pt2"]):
        result = run_kit("selftest", path)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith(f"kit: {printable(path)}: expected "), result.stderr
        assert result.stderr.count("\n") == 1
        assert result.stderr[:-1].isprintable()


@pytest.mark.spawns
def test_needs_no_torch(model: Path) -> None:
    code = "import kit\nkit.main(['selftest', sys.argv[1]])"
    result = run_python(code, model, without=["torch", "onnx", "safetensors", "PIL", "trainer", "export"])
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"{model}: largest difference ")


@pytest.mark.parametrize("arguments", [[], ["a", "b"]])
def test_wrong_calls(run_kit: Kit, arguments: list[str]) -> None:
    result = run_kit("selftest", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_model_in_c_is_compiled(c_folder: Path, c_library: Path, run_kit: Kit) -> None:
    for path in (c_folder, c_library):
        result = run_kit("selftest", path)
        assert (result.exit_code, result.stdout, result.stderr) == (0, f"{path}: the self-test passed on host\n", "")


@pytest.mark.parametrize("target", ON_EMULATED)
def test_a_model_in_c_on_an_emulated_processor(target: str, c_folder: Path, run_kit: Kit) -> None:
    result = run_kit("selftest", c_folder, "--target", target, "--target", target, "--target", "host")
    lines = [f"{c_folder}: the self-test passed on {name}" for name in (target, "host")]
    assert (result.exit_code, result.stdout.splitlines(), result.stderr) == (0, lines, "")


def test_a_model_in_c_that_answers_otherwise(c_folder: Path, tmp_path: Path, run_kit: Kit) -> None:
    """Its golden answers are others."""
    for file in c_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    source = tmp_path / "digits.c"
    before, start, rest = source.read_text().partition("ANSWERS[] FLASH = {\n")
    assert start
    source.write_text(f"{before}{start}    16777216, {rest.lstrip().partition(', ')[2]}")
    result = run_kit("selftest", tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "expected the golden examples to agree on host, found 1 failures" in result.stderr


def test_a_target_of_an_artefact_that_is_not_c(model: Path, run_kit: Kit) -> None:
    result = run_kit("selftest", model, "--target", "host")
    assert result.exit_code == 2
    assert f"expected --target for a model in C alone, found it for {model}" in result.stderr
