"""Benchmark of models for browsers: our module, onnxruntime-web and onnxruntime-node with the same files; Markdown.

npm install onnxruntime-web onnxruntime-node
apt-get install chromium nodejs
python -m benchmarks.web --data-dir DIR --node-modules node_modules --write docs/benchmarks.md

The first answer is the time from the import of a module to the probabilities of one image, in a new window of Chromium
with an empty cache, by HTTP from 127.0.0.1; onnxruntime-web is its bundle for WebAssembly alone, with one thread. The
bytes to fetch are those of all files that this took, each compressed by gzip.
"""

import base64
import gzip
import json
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

import runtime
from runtime.c.programs import call
from runtime.web.node import OPEN, PROBABILITIES, Module, node
from runtime.web.reading import MODULE

from ..tools.measure import Figures, Found, aimed, compared, fashion, fashion_dir, table
from ..tools.page import page_option, show

ROUNDS, SHARE, MORE, COMPRESSED = 11, 0.1, 25_000, 6_000
FORMATS, OURS, WEB, NODE = ("onnx", "onnx-int8"), "ours: softmax-kit.mjs", "onnxruntime-web", "onnxruntime-node"
IMAGE = "Uint8Array.from({ length: 784 }, (_, i) => i % 256)"
TENSOR = "new ort.Tensor('uint8', %s, [%s, 28, 28, 1])"
OUR_START = f"""async ([module, model]) => {{
  const started = performance.now(), {{ load }} = await import(module);
  globalThis.classifier = await load(model);
  await classifier.probabilities({IMAGE});
  return performance.now() - started;
}}"""
THEIR_START = f"""async ([module, model]) => {{
  const started = performance.now();
  globalThis.ort = await import(module);
  ort.env.wasm.numThreads = 1;
  globalThis.session = await ort.InferenceSession.create(model);
  await session.run({{ images: {TENSOR % (IMAGE, 1)} }});
  return performance.now() - started;
}}"""
ALL_OF_OURS = """async (images) => {
  const bytes = Uint8Array.from(atob(images), (letter) => letter.charCodeAt(0)), found = [];
  const started = performance.now();
  for (let at = 0; at < bytes.length; at += 784) {
    found.push(...await classifier.probabilities(bytes.slice(at, at + 784)));
  }
  return [found, performance.now() - started];
}"""
ALL_OF_THEIRS = f"""async (images) => {{
  const bytes = Uint8Array.from(atob(images), (letter) => letter.charCodeAt(0)), found = [];
  const started = performance.now();
  for (let at = 0; at < bytes.length; at += 784) {{
    found.push(...(await session.run({{ images: {TENSOR % ("bytes.slice(at, at + 784)", 1)} }})).probabilities.data);
  }}
  return [found, performance.now() - started];
}}"""
SOURCES = {
    OURS: ("/model_js/softmax-kit.mjs", OUR_START, ALL_OF_OURS),
    WEB: ("/dist/ort.wasm.bundle.min.mjs", THEIR_START, ALL_OF_THEIRS),
}
COSTS = {"first": ("first answer", ", ms", "{:.1f}"), "each": ("an image", ", ms", "{:.4f}"),
         "bytes": ("bytes to fetch", "", "{:,}")}  # fmt: skip
ANSWERS = {"difference": ("largest difference", "", "{:.1e}"), "labels": ("labels that differ", "", "{}")}
RATIOS = {f"{what}, {name}": f"{key} {name}" for key, (what, *_) in COSTS.items() for name in FORMATS}
IN_NODE = """
const ort = require("onnxruntime-node"), bytes = require("fs").readFileSync(0), [model] = process.argv.slice(2);
ort.InferenceSession.create(model).then(async (session) => {
  const images = new ort.Tensor("uint8", new Uint8Array(bytes), [bytes.length / 784, 28, 28, 1]);
  process.stdout.write(Buffer.from((await session.run({ images })).probabilities.data.buffer));
});
"""


@click.command()
@fashion
@click.option("--node-modules", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Where onnxruntime-web and onnxruntime-node are installed.")  # fmt: skip
@page_option
def main(data_dir: Path | None, node_modules: Path, page: Path | None) -> None:
    """Export a model of Fashion-MNIST, and compare first answers, answers and sizes."""
    with tempfile.TemporaryDirectory(prefix="kit-") as place:
        files, images = prepare(fashion_dir(data_dir), Path(place))
        versions = [f"Node {call([node(), '-v'], Path()).decode().strip()}"]
        versions += [f"{name} {_version(node_modules / name)}" for name in (WEB, NODE)]
        shutil.copytree(node_modules / WEB / "dist", Path(place) / "dist", ignore=_maps)
        show("Models for browsers", chain([", ".join(versions)], in_chromium(Path(place), files, images)), page, "web")
        show("The module", outside_a_browser(node_modules.resolve(), files, images))


def prepare(data_dir: Path, place: Path) -> tuple[dict[str, Path], NDArray[np.uint8]]:
    """Train and export; return the files by format, and the test images."""
    from export import export
    from export.formats import FORMATS as ALL
    from trainer import FitConfig, fit, load_data

    data = load_data("fashion-mnist", data_dir=data_dir)
    checkpoint = fit(data, FitConfig(device="cpu")).checkpoint
    names = (*FORMATS, "js", "html")
    files = {name: export(checkpoint, name, place / f"model{ALL[name].suffix}").path for name in names}
    return files, data.test.images.numpy()


def outside_a_browser(node_modules: Path, files: Mapping[str, Path], images: NDArray[np.uint8]) -> Iterator[str]:
    """Yield sizes, and what Node answers."""
    yield sizes(files)
    yield in_node(node_modules, files, images)


def sizes(files: Mapping[str, Path]) -> str:
    """Bytes of the module and of the page, with the limits that they keep to."""
    module, model = (files["js"] / MODULE).read_bytes(), files["onnx-int8"].stat().st_size
    page, compressed = files["html"].stat().st_size, len(gzip.compress(module, 9))
    rows = [
        ("module, compressed by gzip", f"{compressed:,}", aimed(compressed, COMPRESSED)),
        ("module", f"{len(module):,}", ""),
        ("onnx-int8 artefact", f"{model:,}", ""),
        ("page", f"{page:,}", ""),
        ("page, beside 4/3 of the artefact", f"{page - model * 4 / 3:,.0f}", aimed(page - model * 4 / 3, MORE)),
    ]
    return table(("file", "bytes", "target"), rows)


def in_chromium(place: Path, files: Mapping[str, Path], images: NDArray[np.uint8]) -> Iterator[str]:
    """Yield the browser's version, ratios, and what they come from; differences are from onnxruntime in Python."""
    encoded = base64.b64encode(images.tobytes()).decode()
    found: Found = {who: {} for who in SOURCES}
    with served(place) as (address, fetched), chromium() as browser:
        yield f"Chromium {browser.version}"
        for name in FORMATS:
            first: dict[str, list[float]] = {who: [] for who in SOURCES}
            for number in range(ROUNDS + 1):
                for who, (source, start, all_images) in SOURCES.items():
                    window = browser.new_page()
                    window.goto(f"{address}/model_js/README.md")
                    fetched.clear()
                    spent = window.evaluate(start, [address + source, f"{address}/{files[name].name}"])
                    first[who] += [spent] if number else []
                    if number == ROUNDS:
                        found[who][f"bytes {name}"] = transferred(place, fetched)
                        found[who][f"first {name}"] = median(first[who])
                        answers, spent = window.evaluate(all_images, encoded)
                        found[who][f"each {name}"] = spent / len(images)
                        largest, flips = difference(files[name], images, answers)
                        found[who] |= {f"difference {name}": largest, f"labels {name}": flips}
                    window.close()
    figures = {
        f"{what}{unit}, {name}": partial(_written, f"{key} {name}", form)
        for key, (what, unit, form) in (COSTS | ANSWERS).items()
        for name in FORMATS
    }
    yield compared(found, RATIOS, figures)
    rows = []
    for name in FORMATS:
        share = found[OURS][f"first {name}"] / found[WEB][f"first {name}"]
        rows.append((name, f"{share:.3f}", aimed(share, SHARE)))
    yield table(("first answer", "ours ÷ onnxruntime-web", "target"), rows)


def _written(key: str, form: str, found: Figures) -> str:
    return form.format(found[key])


def transferred(place: Path, fetched: Collection[str]) -> int:
    """Bytes of files that a browser fetched, each compressed by gzip as a server sends it."""
    paths = (place / path.lstrip("/") for path in fetched)
    return sum(len(gzip.compress(path.read_bytes(), 9)) for path in paths if path.is_file())  # there is no icon


def in_node(node_modules: Path, files: Mapping[str, Path], images: NDArray[np.uint8]) -> str:
    """Largest differences of onnxruntime-node and of the module in Node from onnxruntime in Python."""
    script = files["js"].parent / "run.cjs"
    script.write_text(IN_NODE.replace('"onnxruntime-node"', json.dumps(str(node_modules / NODE))))
    rows = []
    for name in FORMATS:
        theirs = np.frombuffer(call([node(), str(script), str(files[name])], script.parent, images.tobytes()), "<f4")
        module = Module((files["js"] / MODULE).read_bytes(), files[name].read_bytes())
        module.ask(OPEN)
        ours = np.frombuffer(module.ask(PROBABILITIES, images.tobytes(), images.shape)[1], "<f4")
        for who, found in (("module", ours), (NODE, theirs)):
            largest, flips = difference(files[name], images, found)
            rows.append((name, who, f"{largest:.1e}", str(flips)))
    return table(("file", "in Node", "largest difference", "labels"), rows)


def difference(model: Path, images: NDArray[np.uint8], found: Any) -> tuple[float, int]:
    """Largest difference in probability from onnxruntime in Python, and how many labels differ."""
    expected = runtime.load(model).probabilities(images)
    answers = np.asarray(found, np.float32).reshape(expected.shape)
    return float(np.abs(answers - expected).max()), int((answers.argmax(axis=1) != expected.argmax(axis=1)).sum())


class _Quiet(SimpleHTTPRequestHandler):
    """Serves files, and notes which."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript", ".md": "text/plain"}

    protocol_version, disable_nagle_algorithm = "HTTP/1.1", True

    def __init__(self, *arguments: Any, fetched: set[str], directory: str) -> None:
        self._fetched = fetched
        super().__init__(*arguments, directory=directory)

    def do_GET(self) -> None:
        """Send a file."""
        self._fetched.add(self.path)
        super().do_GET()

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, set[str]]]:
    """Serve a folder from this machine alone; yields its address, and the paths of what was fetched so far."""
    fetched: set[str] = set()
    handler = partial(_Quiet, fetched=fetched, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", fetched
        server.shutdown()


@contextmanager
def chromium() -> Iterator[Any]:
    """Start Debian's Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def _version(package: Path) -> str:
    return str(json.loads((package / "package.json").read_text())["version"])


def _maps(_: str, names: list[str]) -> list[str]:
    return [name for name in names if name.endswith(".map")]
