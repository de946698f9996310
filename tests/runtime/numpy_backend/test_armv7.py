"""A 32-bit Arm, emulated, with Debian's Python and numpy: where onnxruntime has no wheel."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import runtime
from tests.reader import ROOT

PACKAGES = ("python3-numpy", "libc6", "libblas3", "liblapack3", "libgfortran5", "libgcc-s1", "libstdc++6", "zlib1g",
            "libexpat1", "libffi8")  # fmt: skip
SCRIPT = """
import platform, sys
sys.path[:0] = [sys.argv[1], *sys.argv[2].split(":")]
import numpy as np
import runtime
images = np.load(sys.argv[3])
for number, path in enumerate(sys.argv[4:]):
    classifier = runtime.load(path, selftest=True)
    np.save(f"answers{number}.npy", classifier.probabilities(images))
print(platform.machine(), classifier.info()["backend"])
"""


def told(*command: str | Path, cwd: Path, timeout: int = 600) -> str:
    found = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False)
    if found.returncode:
        raise OSError(f"{command[0]}: {found.stderr[-500:]}")
    return found.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Debian's packages for armhf, unpacked, without installing any."""
    if not shutil.which("qemu-arm") or not shutil.which("apt-get"):
        pytest.skip("no qemu-arm, or no apt-get: apt-get install qemu-user")
    folder = tmp_path_factory.mktemp("armhf")
    (folder / "lists").mkdir()
    options = ["-oAPT::Architecture=armhf", "-oAPT::Architectures::=armhf", f"-oDir::State::lists={folder}/lists",
               f"-oDir::Cache={folder}", "-oAPT::Sandbox::User="]  # fmt: skip
    try:
        subprocess.run(["apt-get", *options, "update"], capture_output=True, timeout=600, check=False)
        listed = told("apt-cache", *options, "depends", "python3-minimal", cwd=folder)
        python = re.findall(r"Depends: (python3\.[0-9]+)-minimal", listed)[0]
        names = [f"{python}-minimal", f"lib{python}-minimal", f"lib{python}-stdlib", *PACKAGES]
        told("apt-get", *options, "download", *names, cwd=folder)
    except OSError as error:
        pytest.skip(f"no packages for armhf: {error}")
    for package in folder.glob("*.deb"):
        told("dpkg", "-x", package, folder / "root", cwd=folder)
    return folder / "root"


@pytest.mark.slow
@pytest.mark.spawns
def test_the_same_answers(root: Path, exported: dict[str, Path], tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2000, 8, 8, 1), np.uint8)
    np.save(tmp_path / "images.npy", images)
    paths = [exported["onnx"], exported["onnx-int8"]]
    libraries = {path.parent for path in root.rglob("*.so*")}
    modules = root / "usr" / "lib" / "python3" / "dist-packages"
    said = told(
        "qemu-arm", "-L", root, "-E", f"LD_LIBRARY_PATH={':'.join(map(str, sorted(libraries)))}",
        next((root / "usr" / "bin").glob("python3.*")), "-S", "-c", SCRIPT, ROOT, modules, "images.npy", *paths,
        cwd=tmp_path,
    )  # fmt: skip
    assert said.split() == ["armv7l", "numpy"]
    for number, path in enumerate(paths):
        expected = runtime.load(path, backend="numpy").probabilities(images)
        found = np.load(tmp_path / f"answers{number}.npy")
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(found.argmax(axis=1), expected.argmax(axis=1))
