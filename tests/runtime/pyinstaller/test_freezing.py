"""Freezing the command line with PyInstaller, in an environment of its own."""

import importlib.metadata
import os
import runpy
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

import kit
from runtime.pyinstaller import hook_dirs
from tests.environments import install
from tests.modules import ROOT, sources
from trainer import Dataset

COMMANDS = [module.partition(":")[0] for module, _ in kit.COMMANDS.values()]
SCRIPTS = {"kit": ["kit.py"], "launcher": ["--onefile", "launcher.py"]}


def run(folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=variables, timeout=600, check=False)


def test_the_hooks_name_all_modules_and_the_version() -> None:
    (folder,) = hook_dirs()
    found = runpy.run_path(f"{folder}/hook-kit.py")
    assert found["hiddenimports"] == sorted(name for name in sources() if name != "kit" and "hook-" not in name)
    assert set(COMMANDS) < set(found["hiddenimports"])
    ((path, name),) = found["datas"]
    assert name.startswith(f"softmax_kit-{importlib.metadata.version('softmax-kit')}")
    assert Path(path, "METADATA").is_file()


@pytest.mark.parametrize(("script", "whole"), [("/a/kit.py", True), ("/a/sorting_machine.py", False)])
def test_a_program_that_imports_the_runtime_gets_no_more(script: str, whole: bool) -> None:
    added: list[str] = []
    api = SimpleNamespace(
        analysis=SimpleNamespace(inputs=[script]),
        add_imports=lambda *names: added.extend(names),
        add_datas=lambda pairs: added.extend(name for _, name in pairs),
    )
    runpy.run_path(f"{hook_dirs()[0]}/hook-runtime.py")["hook"](api)
    assert bool(added) == (set(COMMANDS) < set(added)) == whole


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment without torch, as for a device."""
    return install(tmp_path_factory.mktemp("freezing"), [f"{ROOT}[image,parquet]", "pyinstaller"])


@pytest.mark.slow
@pytest.mark.spawns
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_frozen_command_line(name: str, python: Path, model: Path, digits: Dataset, tmp_path: Path) -> None:
    (tmp_path / "kit.py").write_bytes((ROOT / "kit.py").read_bytes())
    (tmp_path / "launcher.py").write_text("from kit import main\nmain()\n")
    frozen = run(tmp_path, python, "-m", "PyInstaller", "--noconfirm", *SCRIPTS[name])
    assert frozen.returncode == 0, frozen.stderr
    Image.fromarray(digits.test.images[0].numpy().squeeze()).save(tmp_path / "digit.png")
    program = tmp_path / "dist" / name if name == "launcher" else tmp_path / "dist" / name / name
    for arguments, printed in (
        (["--help"], "Usage: "),
        (["--version"], "kit, version "),
        (["inspect", model], "artefact "),
        (["selftest", model], f"{model}: largest difference "),
        (["classify", "digit.png", "--model", model], "digit.png  1 "),
        (["classify", "digit.png", "--model", model, "--output", "out"], "wrote out: 1 images, 0 errors"),
    ):
        result = run(tmp_path, program, *arguments)
        assert (result.returncode, result.stderr) == (0, ""), arguments
        assert result.stdout.startswith(printed)
    result = run(tmp_path, program, "train", "--data", "digits")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "kit: kit train needs torch, which is not installed: pip install 'softmax-kit[train]'\n"
