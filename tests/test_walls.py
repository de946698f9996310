"""What an import may load, in fresh interpreters; what the packages show; what the command line promises.

The runtime may use Pillow, pyarrow, fsspec and Ray inside functions: of its modules no import loads them.
"""

import ast
import importlib
import sys
from pathlib import Path

import pytest

import kit
from tests.interpreter import Kit, run_python

ROOT = Path(__file__).parents[1]
PARTS = ("runtime", "trainer", "export")
OF_EXTRAS = {"PIL", "fsspec", "pyarrow", "ray"}


def loaded(code: str, *arguments: str) -> set[str]:
    """Return the top-level modules that are loaded once `code` has run."""
    tail = "\nprint('\\n' + ' '.join({name.partition('.')[0] for name in sys.modules}))"
    result = run_python(code + tail, *arguments)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("import runtime", {"torch", "onnx", "click", "trainer", "export", "kit"} | OF_EXTRAS),
        (
            "import runtime.commands.classify, runtime.scoring.score, runtime.scoring.output",
            {"torch", "onnx", "trainer", "export"} | OF_EXTRAS,
        ),
        (
            "import runtime.commands.bench, runtime.scoring.score, runtime.commands.inspect",
            {"torch", "onnx", "click"} | OF_EXTRAS,
        ),
        ("import kit", {"torch", "onnx", "onnxruntime", "numpy", "runtime", "trainer", "export"}),
        ("import trainer\ntrainer.fit, trainer.load_data", {"export", "onnx", "onnxruntime", "kit", "click"}),
        ("from trainer import load_checkpoint", {"torch", "export", "onnx", "onnxruntime", "kit"}),
        ("import export", {"torch", "onnx", "onnxruntime", "kit", "click"}),
        ("import export.formats.onnx, export.formats.onnx_int8", {"torch", "kit", "click"}),
    ],
)
def test_an_import_loads_no_more_than_it_may(code: str, forbidden: set[str]) -> None:
    assert loaded(code) & forbidden == set()


def test_help_loads_none_of_the_parts() -> None:
    code = "import kit\ntry:\n    kit.main(['--help'])\nexcept SystemExit:\n    pass"
    heavy = {"torch", "onnx", "onnxruntime", "numpy", "PIL", "runtime", "trainer", "export"}
    assert loaded(code) & heavy == set()


def test_importtime_of_the_runtime() -> None:
    """The interpreter's own list of imports, as in `python -X importtime -c "import runtime"`."""
    code = "import subprocess\nprint(subprocess.run([sys.executable, '-X', 'importtime', '-c', 'import runtime'], "
    result = run_python(code + "capture_output=True, text=True).stderr)")
    modules = {line.split("|")[-1].strip().partition(".")[0] for line in result.stdout.splitlines()}
    assert "runtime" in modules
    assert modules & {"torch", "onnx", "PIL", "click"} == set()


@pytest.mark.parametrize("part", PARTS)
def test_public_names(part: str) -> None:
    package = importlib.import_module(part)
    assert package.__all__ == sorted(package.__all__)
    assert all((getattr(package, name).__doc__ or name.isupper()) for name in package.__all__)
    assert (ROOT / part / "py.typed").exists()
    with pytest.raises(AttributeError):
        package.no_such_name  # noqa: B018


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports, at its top or inside its functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return names


def test_each_part_imports_only_what_the_design_allows() -> None:
    allowed = {
        "runtime": {"numpy", "onnxruntime", "_sha2"} | OF_EXTRAS,
        "trainer": {
            "torch",
            "torchvision",
            "numpy",
            "safetensors",
            "sklearn",
            "matplotlib",
            "psutil",
            "tqdm",
            "runtime.image",
            "runtime.data.parquet",
            "runtime.digest",
            "pyarrow",
            "runtime.errors",
            "runtime.processes",
            "runtime.text",
        },
        "export": {"runtime", "trainer", "onnx", "torch", "numpy", "flatbuffers"},
    }
    commands = {module.partition(":")[0] for module, _ in kit.COMMANDS.values()}
    for part, names in allowed.items():
        for path in (ROOT / part).rglob("*.py"):
            extra = {"click"} if ".".join(path.relative_to(ROOT).with_suffix("").parts) in commands else set()
            for name in imported(path):
                assert name.partition(".")[0] in sys.stdlib_module_names | names | extra or name in names, (
                    f"{path.relative_to(ROOT)} imports {name}"
                )


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
