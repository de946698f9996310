"""`kit inspect`: what it says of every format, of foreign models, and of files that are none."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

import runtime
from export.formats import FORMATS, LITERT
from export.formats.compatibility import Target
from runtime.artefact import dumps
from runtime.commands import inspect as inspection
from tests.backends import NUMPY
from tests.formats import FILES, OPENED
from tests.interpreter import Kit, run_python
from tests.runtime.given import write_zip
from trainer import Checkpoint

HOSTILE = "\x1b[31mred\x9b1m\u202e\n"
Write = Callable[..., Path]


@pytest.fixture
def write(checkpoint: Checkpoint, model: Path, tmp_path: Path) -> Write:
    """Write the digits artefact in a format, with other metadata than its own."""

    def write(name: str, **changes: Any) -> Path:
        module = FORMATS[name].load()
        metadata = runtime.load(model).metadata._replace(**changes)
        path = tmp_path / f"changed{FORMATS[name].suffix}"
        path.write_bytes(module.write(module.prepare(checkpoint), metadata, Target()))
        return path

    return write


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "someone's",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
    )
    model = helper.make_model(graph, producer_name="someone", ir_version=7, opset_imports=[helper.make_opsetid("", 13)])
    helper.set_model_props(model, {"names": HOSTILE, "stride": "32"})
    onnx.save(model, tmp_path / "foreign.onnx")
    return tmp_path / "foreign.onnx"


@pytest.mark.parametrize("name", list(FILES))
def test_json_of_every_format(name: str, run_kit: Kit, exported: dict[str, Path], model: Path) -> None:
    result = run_kit("inspect", exported[name], "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    data, metadata = exported[name].read_bytes(), runtime.load(model).metadata
    statistics = metadata.pixel_statistics
    assert statistics
    expected = {
        "artefact": str(exported[name]),
        "format": name,
        "size": len(data),
        "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "labels": list(metadata.labels),
        "image": asdict(metadata.image),
        "pixel_statistics": json.loads(json.dumps(statistics.to_json())),
        "golden": {"examples": len(metadata.golden.images), "tolerance": FORMATS[name].tolerance, "encoding": "raw"},
        "format_version": "1.1",
        "centre": None,
        "optional_outputs": [],
        "decision": None,
        "licences": [],
        "others": {},
    }
    if FORMATS[name].runs_on in ("onnxruntime", LITERT):
        info = runtime.load(exported[name]).info()
        expected |= {
            "producer": "softmax-kit",
            "inputs": [{"name": "images", "type": "uint8", "shape": ["N", 8, 8, 1]}],
            "outputs": [{"name": "probabilities", "type": "float32", "shape": ["N", 10]}],
            "foreign": {},
            **{key: info[key] for key in ("backend", "providers", "threads", "versions")},
        }
    provenance = found.pop("provenance")
    assert found == expected
    assert provenance["data"] == {"name": "digits", "train_images": 1437, "test_images": 360}
    assert set(provenance) == {"checkpoint", "data", "figures", "fingerprints", "proof", "settings", "versions"}


@pytest.mark.parametrize("name", list(FILES))
def test_text_of_every_format(name: str, run_kit: Kit, exported: dict[str, Path]) -> None:
    result = run_kit("inspect", exported[name])
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert f"format {name}" in lines
    assert f"size {exported[name].stat().st_size:,} bytes" in lines
    assert "labels 10: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9" in lines
    assert "image height 8, width 8, color L, fit stretch, filter bilinear, shift 8" in lines
    assert f"golden examples 10, tolerance {FORMATS[name].tolerance:g}, encoding raw" in lines
    assert "data: name digits, test_images 360, train_images 1437" in lines
    if FORMATS[name].runs_on in ("onnxruntime", LITERT):
        assert "inputs images: uint8 [N, 8, 8, 1]" in lines
        assert "outputs probabilities: float32 [N, 10]" in lines
        assert f"backend {'litert' if name.startswith('litert') else 'numpy' if NUMPY else 'onnxruntime'}" in lines


@pytest.mark.spawns
def test_needs_no_torch(exported: dict[str, Path]) -> None:
    code = """
import kit
for path in sys.argv[1:]:
    try:
        kit.main(["inspect", path])
    except SystemExit as end:
        assert not end.code
"""
    absent = ["torch", "onnx", "safetensors", "sklearn", "PIL", "trainer", "export"]
    result = run_python(code, *exported.values(), without=absent)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("labels ") == len(exported)


def test_a_file_of_an_older_torch(run_kit: Kit, write: Write, tmp_path: Path) -> None:
    """torch.export.save of torch 2.7 and older put its entries at the top of the zip file."""
    with zipfile.ZipFile(write("pt2")) as file:
        text = file.read(next(name for name in file.namelist() if name.endswith("kit.json")))
    entries = {"serialized_exported_program.json": b"{}", "extra_files/kit.json": text}
    found = json.loads(run_kit("inspect", write_zip(tmp_path / "old.pt2", entries), "--json").stdout)
    assert (found["format"], len(found["labels"])) == ("pt2", 10)


def test_a_foreign_model(run_kit: Kit, foreign: Path) -> None:
    result = run_kit("inspect", foreign)
    assert result.exit_code == 1
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[4:] == [
        "producer someone",
        "inputs x: float32 [batch, 4]",
        "outputs y: float32 [batch, 4]",
        r"foreign names: \x1b[31mred\x9b1m\u202e\n",
        "stride: 32",
    ]
    message = (
        f"{foreign}: expected an artefact made by `kit export`, found a file without kit.version, kit.labels, "
        "kit.image, kit.pixel_statistics, kit.golden, kit.provenance: export it again"
    )
    assert result.stderr == f"kit: {message}\n"
    as_json = run_kit("inspect", foreign, "--json")
    found = json.loads(as_json.stdout)
    assert (as_json.exit_code, found["format"], found["error"]) == (1, "onnx", message)
    assert found["foreign"] == {"names": HOSTILE, "stride": "32"}


def test_a_model_for_torch_that_is_no_artefact(run_kit: Kit, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "m.pt", {"m/constants.pkl": b"", "m/code/m.py": b""})
    result = run_kit("inspect", path)
    assert (result.exit_code, result.stdout.split()[:4]) == (1, ["artefact", str(path), "format", "torchscript"])
    assert result.stderr == (
        f"kit: {path}: expected an artefact made by `kit export`, with one kit.json, found 0: export it again\n"
    )


@pytest.mark.parametrize("name", OPENED)
def test_what_the_runtime_refuses_is_refused(
    name: str, run_kit: Kit, exported: dict[str, Path], tmp_path: Path
) -> None:
    """An artefact that was changed after it was made: inspect says what `load` says."""
    path = tmp_path / "changed"
    path.write_bytes(exported[name].read_bytes().replace(b'"lr":0.03', b'"lr":0.04'))
    with pytest.raises(runtime.ArtefactError) as refused:
        runtime.load(path)
    result = run_kit("inspect", path)
    assert (result.exit_code, result.stderr) == (1, f"kit: {refused.value}\n")
    assert "lr 0.04" in result.stdout


@pytest.mark.parametrize("name", [*OPENED, "pt2"])
def test_hostile_text_is_escaped(name: str, run_kit: Kit, write: Write) -> None:
    labels = (HOSTILE, *(f"label {number}" for number in range(1, 10)))
    path = write(name, labels=labels, provenance={HOSTILE: [HOSTILE, {"deep": HOSTILE}]}, others={HOSTILE: HOSTILE})
    for arguments in ([], ["--json"]):
        result = run_kit("inspect", path, *arguments)
        assert (result.exit_code, result.stderr) == (0, "")
        assert all(c == "\n" or c.isprintable() for c in result.stdout)
    found = json.loads(result.stdout)
    assert found["labels"] == list(labels)
    assert found["provenance"] == {HOSTILE: [HOSTILE, {"deep": HOSTILE}]}


@pytest.mark.spawns
@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_terminal_without_these_letters(arguments: list[str], write: Write) -> None:
    path = write("onnx", labels=("köln", "鞋", *map(str, range(8))))
    code = "import kit\nkit.main(['inspect', *sys.argv[1:]])"
    result = run_python(code, path, *arguments, environment={"PYTHONIOENCODING": "ascii"})
    assert (result.returncode, result.stderr) == (0, "")
    if arguments:
        assert json.loads(result.stdout)["labels"][:2] == ["köln", "鞋"]
    else:
        assert r"10: k\xf6ln, \u978b, 0, " in result.stdout


def test_many_labels_are_counted(run_kit: Kit, tmp_path: Path, write: Write) -> None:
    document = runtime.load(write("onnx")).metadata.to_json()
    document["labels"] = [f"label {number}" for number in range(1000)]
    document["golden"]["probabilities"] = [[0.001] * 1000] * len(document["golden"]["probabilities"])
    path = write_zip(tmp_path / "m.pt", {"m/constants.pkl": b"", "m/extra/kit.json": dumps(document).encode()})
    lines = run_kit("inspect", path).stdout.splitlines()
    (line,) = (line for line in lines if line.startswith("labels"))
    assert line.endswith("1,000: " + ", ".join(f"label {number}" for number in range(12)) + ", and 988 more")


def test_long_text_is_cut(run_kit: Kit, tmp_path: Path, write: Write) -> None:
    document = runtime.load(write("onnx")).metadata.to_json() | {"provenance": {"note": "x" * 5000}}
    path = write_zip(tmp_path / "m.pt", {"m/constants.pkl": b"", "m/extra/kit.json": dumps(document).encode()})
    assert run_kit("inspect", path).stdout.count("x") == 497
    assert json.loads(run_kit("inspect", path, "--json").stdout)["provenance"] == {"note": "x" * 5000}


def test_numbers_that_json_does_not_have(run_kit: Kit, tmp_path: Path, write: Write) -> None:
    text = dumps(runtime.load(write("onnx")).metadata.to_json()).replace('"lr":0.03', '"lr":NaN,"so":-Infinity')
    path = write_zip(tmp_path / "m.pt", {"m/constants.pkl": b"", "m/extra/kit.json": text.encode()})
    result = run_kit("inspect", path, "--json")

    def refuse(name: str) -> None:
        raise AssertionError(name)

    settings = json.loads(result.stdout, parse_constant=refuse)["provenance"]["settings"]
    assert (settings["lr"], settings["so"]) == (None, None)


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_deep_nesting(arguments: list[str], run_kit: Kit, tmp_path: Path, write: Write) -> None:
    text = dumps(runtime.load(write("onnx")).metadata.to_json())
    deep = text.replace('"provenance":{', '"provenance":{"deep":' + 400 * '{"x":[' + 400 * "]}" + ",")
    path = write_zip(tmp_path / "m.pt", {"m/constants.pkl": b"", "m/extra/kit.json": deep.encode()})
    result = run_kit("inspect", path, *arguments)
    if result.exit_code:
        assert result.stderr.startswith(f"kit: {path}: expected ")
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)


@pytest.mark.parametrize("stated", ["true", "false"])
def test_an_entry_that_swells_is_not_read_whole(
    stated: str, run_kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the zip file's directory states its size or a small one."""
    monkeypatch.setattr(inspection, "MAX_ENTRY_BYTES", 2**20)
    entries = {"m/constants.pkl": b"", "m/extra/kit.json": bytes(8 * 2**20)}
    path = write_zip(tmp_path / "m.pt", entries, compression=zipfile.ZIP_DEFLATED)
    if stated == "false":
        path.write_bytes(path.read_bytes().replace((8 * 2**20).to_bytes(4, "little"), (100).to_bytes(4, "little")))
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as file:
            assert file.getinfo("m/extra/kit.json").file_size == 100
    result = run_kit("inspect", path)
    message = {
        "true": "expected kit.json of at most 1 MB, found a larger one",
        "false": "expected a whole zip file, found a damaged one (Bad CRC-32",
    }
    assert (result.exit_code, result.stderr.startswith(f"kit: {path}: {message[stated]}")) == (1, True)


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--yaml", "a"]])
def test_wrong_calls(run_kit: Kit, arguments: list[str]) -> None:
    result = run_kit("inspect", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
