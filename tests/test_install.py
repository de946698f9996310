"""What a release holds; what an install brings and what it can do, each in an environment of its own."""

import importlib.util
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.environments import install
from tests.reader import blocks, commands
from trainer import Checkpoint, Dataset, save_checkpoint

ROOT = Path(__file__).parents[1]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
KINDS = ["wheel", "sdist"]

pytestmark = pytest.mark.spawns
slow = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=variables, timeout=120, check=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The release, as `make dist` builds it; where hatchling is not installed, in an environment that has it."""
    folder = tmp_path_factory.mktemp("dist")
    isolation = ["--no-isolation"] if importlib.util.find_spec("hatchling") else []
    result = run(sys.executable, "-m", "build", *isolation, "--outdir", folder, ROOT, cwd=folder)
    assert result.returncode == 0, result.stderr
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return {"wheel": wheel, "sdist": sdist}


@pytest.fixture(scope="module", params=KINDS)
def released(request: pytest.FixtureRequest, built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment that holds the release and what it needs."""
    return install(tmp_path_factory.mktemp(request.param), [str(built[request.param])]).parent


def in_the_repository() -> set[str]:
    """Files that git knows, or would if they were added."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a checkout")
    return {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}


def of_the_packages(names: set[str]) -> set[str]:
    return {name for name in names if name.partition("/")[0] in {"export", "kit.py", "runtime", "trainer"}}


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return set(file.namelist())


def assert_only_the_packages(found: set[str]) -> None:
    information = f"softmax_kit-{VERSION}.dist-info"
    files = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    assert found == of_the_packages(in_the_repository()) | {f"{information}/{name}" for name in files}
    assert {f"{part}/py.typed" for part in ("export", "runtime", "trainer")} <= found


def test_a_wheel_holds_the_packages_and_nothing_else(tmp_path: Path) -> None:
    """Made by hatchling alone, which is quick."""
    pytest.importorskip("hatchling")
    result = run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert_only_the_packages(contents(wheel))


@slow
def test_the_wheel_of_a_release_is_made_from_its_sdist(built: dict[str, Path]) -> None:
    assert_only_the_packages(contents(built["wheel"]))


@slow
def test_the_sdist_holds_all_of_the_repository(built: dict[str, Path]) -> None:
    """Tests, documentation, licence and all, and nothing that was built."""
    with tarfile.open(built["sdist"]) as file:
        found = {name.partition("/")[2] for name in file.getnames()}
    assert found == in_the_repository() - {".ci/run"} | {"PKG-INFO"}
    assert {"CHANGELOG.md", "LICENSE", "SECURITY.md", "docs/index.md", "tests/conftest.py"} <= found


@slow
def test_twine_would_upload_them(built: dict[str, Path], tmp_path: Path) -> None:
    result = run(sys.executable, "-m", "twine", "check", "--strict", *built.values(), cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    assert result.stdout.count("PASSED") == 2


@slow
def test_a_release_installs_and_classifies(released: Path, model: Path, digits: Dataset, tmp_path: Path) -> None:
    assert run(released / "kit", "--version", cwd=tmp_path).stdout == f"kit, version {VERSION}\n"
    imported = run(released / "python", "-c", "import runtime; print(runtime.__file__)", cwd=tmp_path)
    assert Path(imported.stdout.strip()).is_relative_to(released.parent), imported.stderr
    np.save(tmp_path / "digit.npy", digits.test.images[0].numpy())
    result = run(released / "python", ROOT / "examples" / "deploy.py", model, "digit.npy", cwd=tmp_path)
    assert result.stdout.startswith("digit.npy: 1 (probability "), result.stderr


@slow
def test_the_wheel_of_the_tutorial_installs_on_a_device(model: Path, tmp_path: Path) -> None:
    """By its own two commands, and an extra is added afterwards where nothing is published."""
    page = [words for block in blocks(ROOT / "docs" / "tutorial.md") for words in commands(block.text)]
    build, install_it = [words[1:] for words in page if words[0].endswith("pip") and "[train]" not in words[-1]]
    build[build.index("dist")] = str(tmp_path)
    assert run(sys.executable, "-m", "pip", *build, cwd=ROOT).returncode == 0
    commands_of = install(tmp_path / "kit", ["click"]).parent
    result = run(commands_of / "python", "-m", "pip", *install_it, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert run(commands_of / "python", "-c", "import PIL", cwd=tmp_path).returncode == 0
    assert run(commands_of / "kit", "selftest", model, cwd=tmp_path).returncode == 0
    added = run(commands_of / "python", "-m", "pip", "install", "--dry-run", "softmax-kit[parquet]", cwd=tmp_path)
    assert added.returncode == 0, added.stderr


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("plain"), [str(ROOT)]).parent


@slow
def test_the_plain_install_is_small(plain: Path, tmp_path: Path) -> None:
    listed = run(plain / "python", "-m", "pip", "list", "--format", "freeze", cwd=tmp_path).stdout
    names = {line.partition("==")[0].partition(" ")[0].lower() for line in listed.splitlines()}
    assert {"numpy", "onnxruntime", "click", "softmax-kit"} <= names
    assert names & {"torch", "torchvision", "onnx", "pillow", "safetensors", "scikit-learn", "tqdm"} == set()


@slow
def test_the_plain_install_classifies(plain: Path, model: Path, digits: Dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "digit.npy", digits.test.images[0].numpy())
    result = run(plain / "python", ROOT / "examples" / "deploy.py", model, "digit.npy", cwd=tmp_path)
    assert result.stdout.startswith("digit.npy: 1 (probability "), result.stderr
    assert result.stdout.endswith("; torch is not installed\n")


@slow
@pytest.mark.parametrize(
    ("arguments", "extra"),
    [(["train", "--data", "digits"], "train"), (["export"], "export"), (["classify", "i.png", "--model"], "image")],
)
def test_the_plain_install_says_what_is_missing(
    plain: Path, model: Path, checkpoint: Checkpoint, arguments: list[str], extra: str, tmp_path: Path
) -> None:
    save_checkpoint(checkpoint, tmp_path / "runs" / "digits" / "model.safetensors")
    Image.new("L", (8, 8)).save(tmp_path / "i.png")
    result = run(plain / "kit", *arguments, *([model] if arguments[-1] == "--model" else []), cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1].endswith(f"which is not installed: pip install 'softmax-kit[{extra}]'")


@slow
def test_the_export_extra_exports_onnx_and_asks_for_more_for_torchscript(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    commands = install(tmp_path / "environment", [f"{ROOT}[export]"]).parent
    save_checkpoint(checkpoint, tmp_path / "model.safetensors")
    result = run(commands / "kit", "export", "model.safetensors", "--format", "onnx", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "model.onnx").exists()
    result = run(commands / "kit", "export", "model.safetensors", "--format", "torchscript", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.endswith("pip install 'softmax-kit[train]'\n")
    assert run(commands / "python", "-c", "import torch", cwd=tmp_path).returncode == 1
