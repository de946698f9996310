"""The Dockerfiles: what they copy and install, and what hadolint says."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.reader import ROOT, check_pip, check_uv

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FILES = ["Dockerfile", "Dockerfile.train"]
HADOLINT = Path(sys.executable).with_name("hadolint")

both = pytest.mark.parametrize("name", FILES)


def instructions(name: str) -> list[list[str]]:
    lines = (ROOT / name).read_text().replace("\\\n", " ").splitlines()
    return [line.split() for line in lines if line and not line.startswith("#")]


def copied(name: str) -> list[str]:
    """What the file copies from the repository."""
    found = [words for words in instructions(name) if words[0] == "COPY" and "--from" not in words[1]]
    return [word for words in found for word in words[1:-1]]


@both
def test_it_copies_what_the_package_is_made_of(name: str) -> None:
    needed = {"pyproject.toml", PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]}
    assert set(copied(name)) == needed | set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"])
    assert all((ROOT / path).exists() for path in copied(name))
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == set(copied(name))


@both
def test_it_ends_as_a_user_whose_program_is_kit(name: str) -> None:
    """A user with a number: Kubernetes cannot tell whether one with a name is root."""
    known = {"CMD", "COPY", "ENTRYPOINT", "FROM", "RUN", "USER", "WORKDIR"}
    assert {words[0] for words in instructions(name)} <= known
    final = instructions(name)[[words[0] for words in instructions(name)].index("FROM", 1) :]
    assert ["COPY", "--from=build", "/installed", "/usr/local"] in final
    assert ["USER", "1000"] in final
    assert ["ENTRYPOINT", '["kit"]'] in final


def test_they_install_the_kit() -> None:
    """For training, uv takes torch for the CPU from where PyTorch keeps it."""
    (runtime,) = [words[1:] for words in instructions("Dockerfile") if words[:2] == ["RUN", "pip"]]
    check_pip([word.strip("'") for word in runtime])
    (train,) = [words for words in instructions("Dockerfile.train") if words[:2] == ["RUN", "pip"]]
    uv = [word.strip("'") for word in train[train.index("&&") + 1 :]]
    check_uv(uv)
    assert uv[-3:] == ["--torch-backend", "cpu", ".[train]"]


@pytest.mark.spawns
@both
def test_hadolint_has_nothing_to_say(name: str) -> None:
    program = HADOLINT if HADOLINT.exists() else shutil.which("hadolint")
    if not program:
        pytest.skip("hadolint is not installed")
    result = subprocess.run([program, ROOT / name], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.slow
@pytest.mark.spawns
def test_what_the_dockerfile_copies_can_be_installed(tmp_path: Path) -> None:
    """Its size is within a fifth of what docs/embedding.md says, for other releases of the dependencies."""
    context, target = tmp_path / "context", tmp_path / "installed"
    context.mkdir()
    for name in copied("Dockerfile"):
        (context / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), f"{context}[image]"]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    code = "import kit; kit.main(['--version'])"
    result = subprocess.run(
        [sys.executable, "-S", "-c", code], env={"PYTHONPATH": str(target)}, capture_output=True, text=True, check=False
    )
    assert result.stdout.startswith("kit, version"), result.stderr
    stated = re.search(
        r"^\| `softmax-kit\[image\]` \| (\d+) \|", (ROOT / "docs/embedding.md").read_text(), re.MULTILINE
    )
    assert stated
    size = sum(path.lstat().st_size for path in target.rglob("*")) / 2**20
    assert size == pytest.approx(int(stated[1]), rel=0.2)
