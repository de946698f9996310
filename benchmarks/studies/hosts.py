"""Which other runtimes load the artefacts, and what they answer."""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

import runtime
from export import export
from trainer import fit, load_data

from ..peers import hosts
from ..tools.measure import aimed, table

FORMATS = {"onnx": "model.onnx", "onnx-int8": "model.int8.onnx", "litert": "model.tflite", "litert-int8": "int8.tflite"}
LITE = ("ai-edge-litert", "tflite-runtime")
DIFFERENCE = 1e-5  # that is allowed
HEAD = ("runtime", "version", "format", "largest difference", "target", "labels that differ")
NODE = """
const ort = require("onnxruntime-node"), fs = require("fs");
const [images, shape, classes, ...paths] = process.argv.slice(1), answers = {};
(async () => {
  for (const path of paths) {
    try {
      const session = await ort.InferenceSession.create(path);
      const tensor = new ort.Tensor("uint8", new Uint8Array(fs.readFileSync(images)), JSON.parse(shape));
      const found = Array.from((await session.run({images: tensor})).probabilities.data);
      answers[path] = [];
      while (found.length) answers[path].push(found.splice(0, Number(classes)));
    } catch (error) { answers[path] = String(error); }
  }
  console.log(JSON.stringify([ort.env.versions.node, answers]));
})();
"""


def compare(python: str, node_modules: Path | None) -> Iterator[str]:
    """Yield a table, a row for each runtime and format."""
    data = load_data("digits")
    checkpoint, images = fit(data).checkpoint, data.test.images.numpy()
    rows: list[tuple[object, ...]] = []
    with tempfile.TemporaryDirectory() as place:
        paths = {kind: export(checkpoint, kind, Path(place, name)).path for kind, name in FORMATS.items()}
        expected = {kind: runtime.load(paths[f"onnx{kind[6:]}" if "litert" in kind else kind]).probabilities(images)
                    for kind in FORMATS}  # fmt: skip
        array, raw = Path(place, "images.npy"), Path(place, "images.bin")
        np.save(array, images)
        raw.write_bytes(images.tobytes())
        for host in hosts.HOSTS:
            found = {kind: path for kind, path in paths.items() if (host in LITE) == ("litert" in kind)}
            rows += _rows(host, [python, hosts.__file__, host, str(array)], found, expected)
        shape = [str(raw), json.dumps(images.shape), str(len(data.labels))]
        found = {kind: paths[kind] for kind in ("onnx", "onnx-int8")}
        rows += _rows("onnxruntime-node", ["node", "-e", NODE, *shape], found, expected, node_modules)
    yield f"digits, {len(images)} images\n\n{table(HEAD, rows)}"


def _rows(
    host: str, command: list[str], paths: Mapping[str, Path], expected: Mapping[str, NDArray[np.float32]],
    node_modules: Path | None = None,
) -> Iterator[tuple[object, ...]]:  # fmt: skip
    """Yield what a runtime answers, or that it is not there."""
    place = node_modules.parent if node_modules else None
    files = [str(path) for path in paths.values()]
    done = subprocess.run([*command, *files], capture_output=True, text=True, cwd=place, check=False)  # noqa: S603
    try:
        version, answers = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        click.echo(done.stderr.strip().rpartition("\n")[2], err=True)
        yield host, "", "", "absent", "", ""
        return
    for kind, path in paths.items():
        answer: Any = answers[str(path)]
        if isinstance(answer, str):
            yield host, version, kind, f"refused: {' '.join(answer.split())[:60]}", "", ""
            continue
        difference = float(np.abs(np.array(answer, np.float32) - expected[kind]).max())
        labels = int((np.argmax(answer, axis=1) != expected[kind].argmax(axis=1)).sum())
        yield host, version, kind, f"{difference:.1e}", aimed(difference, DIFFERENCE), labels
