"""Artefacts in other releases of onnxruntime, each in an environment of its own: the table of compatibility, proved."""

import json
import re
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

import runtime
from export import ExportError, export
from export.formats.compatibility import IR_VERSION, OLDEST_OPSET, OPSET, RELEASES, Release, release
from runtime.session import onnxruntime
from tests.environments import install, run_with
from tests.export.arithmetic.test_centre import FAINT, trained
from tests.export.features.graphs import convolution, on_features
from tests.runtime.later import later_model
from trainer import Checkpoint, Dataset

ROOT = Path(__file__).parents[2]
FORMATS = ("onnx", "onnx-int8", "ort")
# Releases, what to install for each, and the newest Python that it has wheels for.
DEVICES = [
    ("1.15", ["onnxruntime==1.15.*", "numpy<2"], (3, 11)),  # wheels before 1.19 were built for numpy 1
    ("1.17", ["onnxruntime==1.17.*", "numpy<2"], (3, 12)),
    ("1.20", ["onnxruntime==1.20.*", "numpy"], (3, 13)),
    ("the newest", ["onnxruntime", "numpy"], sys.version_info[:2]),
]

# In float32 a sum depends on the order of its terms, which is the release's to choose; in int8 it does not. Seen: 0.
TOLERANCE = 1e-6

# Knows nothing of the kit. Arguments: the images, and the files to give them to.
SCRIPT = """
import json, sys
import numpy, onnxruntime

images = numpy.load(sys.argv[1])
options = onnxruntime.SessionOptions()
options.log_severity_level = 4
answers = {}
for path in sys.argv[2:]:
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        answers[path] = {"refused": str(error)}
        continue
    answers[path] = {
        "labels": json.loads(session.get_modelmeta().custom_metadata_map["kit.labels"]),
        "probabilities": session.run(["probabilities"], {"images": images})[0].tolist(),
    }
print(json.dumps(answers))
"""

# The kit's own runtime, from this checkout, beside numpy and that onnxruntime alone.
SELFTEST = """
import sys
sys.path.insert(0, sys.argv[1])
import runtime

for path in sys.argv[2:]:
    classifier = runtime.load(path)
    classifier.selftest()
    images = classifier.metadata.golden.images
    expected = classifier.probabilities(images).argmax(axis=1).tolist()
    for _ in range(10):
        assert [classifier.classify(image).index for image in images] == expected
    print(classifier.info()["versions"]["onnxruntime"], classifier.info()["format"])
"""

pytestmark = [pytest.mark.slow, pytest.mark.spawns]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a runtime made of a file. refused: its reason, or nothing. probabilities: [N, K]."""

    refused: str = ""
    labels: tuple[str, ...] = ()
    probabilities: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Device:
    """An environment with one release of onnxruntime, numpy, and nothing of the kit."""

    python: Path
    version: str
    images: Path

    @property
    def row(self) -> Release:
        return release(self.version)

    def run(self, files: Iterable[Path]) -> list[Answer]:
        """Give the images to each file."""
        paths = list(map(str, files))
        answers = json.loads(run_with(self.python, SCRIPT, str(self.images), *paths))
        return [
            Answer(
                refused=answer.get("refused", ""),
                labels=tuple(answer.get("labels", ())),
                probabilities=np.array(answer.get("probabilities", []), np.float32),
            )
            for answer in map(answers.__getitem__, paths)
        ]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(needed, id=name, marks=pytest.mark.skipif(sys.version_info[:2] > python, reason="has no wheel"))
        for name, needed, python in DEVICES
    ],
)
def device(
    request: pytest.FixtureRequest, images: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory
) -> Device:
    folder = tmp_path_factory.mktemp("device")
    np.save(folder / "images.npy", images)
    python = install(folder / "environment", request.param, "--only-binary", ":all:")
    version = run_with(python, "import onnxruntime\nprint(onnxruntime.__version__)").strip()
    return Device(python=python, version=version, images=folder / "images.npy")


@pytest.fixture(scope="module")
def images(digits: Dataset) -> NDArray[np.uint8]:
    """The test images of digits, and one that is all black and one all white."""
    pixels = digits.test.images.numpy()
    return np.concatenate([pixels, np.full_like(pixels[:2], [[[[0]]], [[[255]]]])])


@pytest.fixture(scope="module")
def expected(exported: dict[str, Path], images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """The probabilities of each format in the onnxruntime that is installed here."""
    return {name: runtime.load(path).probabilities(images) for name, path in exported.items() if name in FORMATS}


def assert_same(answer: Answer, expected: NDArray[np.float32], checkpoint: Checkpoint) -> None:
    assert answer.refused == ""
    assert answer.labels == checkpoint.labels
    np.testing.assert_allclose(answer.probabilities, expected, rtol=0, atol=TOLERANCE)


def with_versions(model: Path, path: Path, *, opset: int = OPSET, ir: int = IR_VERSION) -> Path:
    """Write the artefact with other version numbers on the same nodes."""
    proto = onnx.load(model)
    proto.opset_import[0].version, proto.ir_version = opset, ir
    path.write_bytes(proto.SerializeToString())
    return path


def with_ort_version(model: Path, path: Path, version: int) -> Path:
    """Write the file in onnxruntime's format with another version number.

    The file is a flatbuffer: an offset to the root table, which begins with the offset back to the list of its fields;
    the first field is the offset to the version, a string: its length, here 1, and its characters.
    """
    data = bytearray(model.read_bytes())
    (root,) = struct.unpack_from("<I", data, 0)
    (back,) = struct.unpack_from("<i", data, root)
    (field,) = struct.unpack_from("<H", data, root - back + 4)
    (offset,) = struct.unpack_from("<I", data, root + field)
    string = root + field + offset
    assert data[string : string + 4] == b"\1\0\0\0"
    data[string + 4 : string + 5] = b"%d" % version
    path.write_bytes(data)
    return path


def test_this_release_has_a_row(device: Device) -> None:
    """The newest release may be newer than the table: then measure it, and give it a row."""
    major, minor = device.version.split(".")[:2]
    assert (int(major), int(minor)) in RELEASES


@pytest.mark.parametrize("name", ["onnx", "onnx-int8"])
def test_every_release_loads_what_is_exported_by_default(
    name: str,
    device: Device,
    exported: dict[str, Path],
    expected: dict[str, NDArray[np.float32]],
    checkpoint: Checkpoint,
) -> None:
    (answer,) = device.run([exported[name]])
    assert_same(answer, expected[name], checkpoint)


def test_artefacts_of_every_format_version_pass_the_self_test(device: Device, tmp_path: Path) -> None:
    """The kept ones of 1.0 and 1.1, and of 2.0 a hand-written one, those of faint images, and those on features."""
    (tmp_path / "later.onnx").write_bytes(later_model())
    for subject, found in (("faint", trained(*FAINT[2])), ("features", on_features(convolution()))):
        for name in ("onnx", "onnx-int8"):
            assert export(found, name, tmp_path / f"{subject}-{name}.onnx").proof
    files = [*sorted((ROOT / "tests" / "fixtures").rglob("*.onnx")), *sorted(tmp_path.glob("*.onnx"))]
    assert {path.parent.name for path in files} >= {"1.0", "1.1"}
    lines = run_with(device.python, SELFTEST, str(ROOT), *map(str, files)).splitlines()
    assert [line.split()[0] for line in lines] == [device.version] * len(files)


@pytest.mark.parametrize("name", ["onnx", "onnx-int8"])
def test_every_release_loads_what_is_exported_for_the_oldest(
    name: str,
    device: Device,
    expected: dict[str, NDArray[np.float32]],
    checkpoint: Checkpoint,
    tmp_path: Path,
) -> None:
    (answer,) = device.run([export(checkpoint, name, tmp_path / "model.onnx", target_ort="1.15").path])
    assert_same(answer, expected[name], checkpoint)


@pytest.mark.parametrize("name", ["onnx", "onnx-int8"])
def test_every_opset_of_the_row_loads_and_the_next_does_not(
    name: str,
    device: Device,
    exported: dict[str, Path],
    expected: dict[str, NDArray[np.float32]],
    checkpoint: Checkpoint,
    tmp_path: Path,
) -> None:
    written = [
        export(checkpoint, name, tmp_path / f"{opset}.onnx", opset=opset, target_ort=device.version).path
        for opset in range(OLDEST_OPSET, min(device.row.opset, release(onnxruntime().__version__).opset) + 1)
    ]
    newer = with_versions(exported[name], tmp_path / "newer.onnx", opset=device.row.opset + 1)
    *answers, refused = device.run([*written, newer])
    for answer in answers:
        assert_same(answer, expected[name], checkpoint)
    assert re.search(r"opset|Could not find an implementation for Cast\(19\)", refused.refused), refused
    with pytest.raises(ExportError, match=f"found {device.row.opset + 1}"):
        export(checkpoint, name, tmp_path / "none", opset=device.row.opset + 1, target_ort=device.version)


def test_every_ir_version_of_the_row_loads_and_the_next_does_not(
    device: Device,
    exported: dict[str, Path],
    expected: dict[str, NDArray[np.float32]],
    checkpoint: Checkpoint,
    tmp_path: Path,
) -> None:
    versions = range(IR_VERSION, device.row.ir + 2)
    written = [with_versions(exported["onnx"], tmp_path / f"{ir}.onnx", ir=ir) for ir in versions]
    *answers, refused = device.run(written)
    for answer in answers:
        assert_same(answer, expected["onnx"], checkpoint)
    assert f"max supported IR version: {device.row.ir}" in refused.refused


def test_onnxruntimes_own_format(
    device: Device,
    exported: dict[str, Path],
    expected: dict[str, NDArray[np.float32]],
    checkpoint: Checkpoint,
    tmp_path: Path,
) -> None:
    """It loads where the release's version of the format is as new as that of the release that wrote it, here."""
    newest = with_ort_version(exported["ort"], tmp_path / "newest.ort", device.row.ort)
    newer = with_ort_version(exported["ort"], tmp_path / "newer.ort", device.row.ort + 1)
    as_written, as_new, refused = device.run([exported["ort"], newest, newer])
    assert_same(as_new, expected["ort"], checkpoint)
    assert f"ORT format model version [{device.row.ort + 1}] is not supported" in refused.refused
    if release(onnxruntime().__version__).ort <= device.row.ort:
        assert_same(as_written, expected["ort"], checkpoint)
        export(checkpoint, "ort", tmp_path / "model.ort", target_ort=device.version)
    else:
        assert "is not supported in this build" in as_written.refused
        with pytest.raises(ExportError, match=rf"onnxruntime {re.escape(device.version)}"):
            export(checkpoint, "ort", tmp_path / "model.ort", target_ort=device.version)
        assert not (tmp_path / "model.ort").exists()


def test_the_kits_runtime_runs_there(device: Device, exported: dict[str, Path]) -> None:
    """pyproject.toml promises every onnxruntime since 1.15."""
    names = ["onnx", "onnx-int8"]
    printed = run_with(device.python, SELFTEST, ROOT, *(exported[name] for name in names)).splitlines()
    assert printed == [f"{device.version} {name}" for name in names]
