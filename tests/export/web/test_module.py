"""The module's interface in Node, its size and its types; and damaged files, sealed again or not."""

import base64
import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runtime
from export.web.source import SOURCES, compact
from runtime.decision import Decision, Threshold
from runtime.errors import ArtefactError
from runtime.web.node import node
from tests.export.c.made import made
from tests.export.web.made import GREY, artefact, web_folder
from tests.modules import ROOT
from tests.node import needs_node

HERE = Path(__file__).parent
BYTES_COMPRESSED = 6000
ACCEPTED = """
import { readFileSync } from "node:fs";
import { load } from "./softmax-kit.mjs";
const classifier = await load(readFileSync("model.onnx")), images = readFileSync("images"), found = [];
for (let at = 0; at < images.length; at += 63) {
  found.push((await classifier.classify(new Uint8Array(images.subarray(at, at + 63)))).accepted);
}
console.log(JSON.stringify(found));
"""


def printed(*command: str | Path, cwd: Path = HERE, **variables: str) -> str:
    found = subprocess.run(
        [node(), *command], capture_output=True, text=True, check=False, timeout=600, env=variables or None, cwd=cwd
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@needs_node
@pytest.mark.spawns
def test_the_interface(folder: Path) -> None:
    assert re.search(r"^# fail 0$", printed("--test", HERE / "module.test.mjs", KIT_FOLDER=str(folder)), re.MULTILINE)


@needs_node
@pytest.mark.spawns
def test_the_example_of_the_documentation(folder: Path, tmp_path: Path) -> None:
    (example,) = re.findall(r"```js\n(.*?)```", (ROOT / "docs" / "web.md").read_text(), re.DOTALL)
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "example.mjs").write_text(example)
    assert re.match(r"self-test: 0\.00\d+\n\d \[\s*\[ '\d', 0\.\d+ \],", printed("example.mjs", cwd=tmp_path))


@needs_node
@pytest.mark.spawns
def test_what_is_accepted(tmp_path: Path) -> None:
    """As the runtime says: by the likeliest label's probability, and by that of a label that must not be missed."""
    thresholds = (Threshold(0.6, None, 0.01, 0.95, 100, 0.5), Threshold(0.2, "label 1", 0.01, 0.95, 100, 0.5))
    subject = made(4, GREY, decision=Decision(thresholds=thresholds), spread=1.0)
    model, images = artefact(subject), subject.images(200)
    place = web_folder(model, tmp_path)
    (place / "images").write_bytes(images.tobytes())
    found = json.loads(printed("--input-type=module", "-e", ACCEPTED, cwd=place))
    expected = [prediction.accepted for prediction in runtime.load(model).classify_batch(images)]
    assert found == expected
    assert 20 < sum(map(bool, expected)) < 180


def test_its_size_and_its_types() -> None:
    source, types = compact("softmax-kit.mjs"), (SOURCES / "softmax-kit.d.ts").read_text()
    size = len(gzip.compress(source.encode(), 9, mtime=0))
    print(f"softmax-kit.mjs: {len(source):,} bytes, {size:,} compressed")
    assert size <= BYTES_COMPRESSED
    assert not re.search(r"^\s*//|^\s", source, re.MULTILINE)
    names = [set(re.findall(r"^export (?:class|const|function) (\w+)", text, re.MULTILINE)) for text in (source, types)]
    assert names == [{"KitError", "load"}] * 2
    returned = re.search(r"return \{ labels: .*, (info, .*) \};", source)
    assert returned
    for name in ("labels", *returned[1].split(", ")):
        assert re.search(rf"^  (?:readonly )?{name}[:(]", types, re.MULTILINE), name


def fuzzed(folder: Path, model: Path, count: int, *sealed: str) -> Any:
    return json.loads(printed(HERE / "fuzz.mjs", folder / "softmax-kit.mjs", model, str(count), *sealed))


@needs_node
@pytest.mark.spawns
@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_damaged_files_are_refused(count: int, folder: Path) -> None:
    found = fuzzed(folder, folder / "model.onnx", count)
    assert found["accepted"] == []
    assert sum(found["refused"].values()) > 0.98 * count


@needs_node
@pytest.mark.spawns
@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["onnx", "onnx-int8"])
def test_forged_files_are_refused_or_answer_as_in_the_runtime(
    name: str, count: int, folder: Path, exported: dict[str, Path]
) -> None:
    """What is damaged and sealed again may still be a model, if of other numbers: then both say the same."""
    found = fuzzed(folder, exported[name], count, "sealed")
    assert found["refused"]
    assert found["accepted"]
    unread = 0
    for one in found["accepted"]:
        try:
            classifier = runtime.load(base64.b64decode(one["model"]))
        except ArtefactError:  # of what the module does not read
            unread += 1
            continue
        shape = classifier.metadata.image.shape
        image = (np.arange(np.prod(shape)) * 37 % 256).astype(np.uint8).reshape(1, *shape)
        assert one["labels"] == list(classifier.labels)
        np.testing.assert_allclose(one["probabilities"], classifier.probabilities(image)[0], rtol=0, atol=1e-5)
    print(f"{sum(found['refused'].values())} refused, {len(found['accepted'])} not, {unread} of these by the runtime")
