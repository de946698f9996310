"""The README and the documentation: what they say to type runs, what they quote is there, and the pages build."""

import ast
import configparser
import json
import logging
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import click
import numpy as np
import pyarrow.parquet
import pytest
import yaml
from markdown_it import MarkdownIt
from PIL import Image

import kit
from export import export
from tests.idx import write_fashion
from tests.node import needs_node
from tests.reader import (
    ROOT,
    SHELL,
    Block,
    Reader,
    blocks,
    check_make,
    check_pip,
    check_pytest,
    commands,
    inline_code,
    unit,
)
from trainer import FitConfig, fit, load_data

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "ROADMAP.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
SLOW = {"formats.md"}  # every format, and a compiler
# whose commands start processes
SPAWN = {"README.md", "embedding.md", "formats.md", "installation.md", "scale.md", "tutorial.md", "web.md"}
RUN = {SHELL, "python", "ini"}
LEAST, SHARE = 20, 0.45  # letters of a message that are fixed, and their share, so that they say something


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fashion(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def fashion_model(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    fitted = fit(load_data("fashion-mnist", data_dir=data_dir), FitConfig(epochs=2, batch_size=32, device="cpu"))
    return export(fitted.checkpoint, "onnx", tmp_path_factory.mktemp("model") / "model.onnx").path.read_bytes()


@pytest.fixture
def reader(data_dir: Path, fashion_model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """Somebody with the repository's examples, a model, two images, and a folder of photos."""
    monkeypatch.delenv("KIT_DATA_DIR", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr("trainer.report.plots.write_plots", lambda *_, **__: [])  # which takes long, and has its tests
    monkeypatch.setattr("runtime.data.decode.POOL_FROM", 10**6)  # so does starting processes
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "model.onnx").write_bytes(fashion_model)
    generator = np.random.default_rng(0)
    for name in ("boot.png", "image.png", *(f"photos/{label}/{i}.png" for label in ("day", "night") for i in range(9))):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (28, 28), np.uint8)).save(path)
    photos = sorted((folder / "photos").rglob("*.png"))
    pyarrow.parquet.write_table(
        pyarrow.table({"image": [photo.read_bytes() for photo in photos], "label": [p.parent.name for p in photos]}),
        folder / "images.parquet",
    )
    yield Reader(folder, data_dir, monkeypatch)
    logging.captureWarnings(False)


def pages(*, run: bool) -> list[object]:
    """Pages as parameters, by their names; those that take long to run or start processes are marked."""
    kinds = [(pytest.mark.slow, SLOW), (pytest.mark.spawns, SPAWN), (needs_node, {"web.md"})] if run else []
    return [
        pytest.param(page, id=page.name, marks=[mark for mark, names in kinds if page.name in names])
        for page in PAGES
        if not run or any(block.language in RUN for block in blocks(page))
    ]


@pytest.mark.parametrize("page", pages(run=True))
@pytest.mark.filterwarnings("ignore:expected :runtime.SkewWarning")
def test_a_page_does_what_it_says(page: Path, reader: Reader) -> None:
    before = ""
    if page.name == "tutorial.md":  # which makes its own
        shutil.rmtree("photos")
    for block in blocks(page):
        try:
            reader.read(block)
            if block.language == "text" and before in (SHELL, "python"):
                reader.expect(block.text)
        except BaseException as error:
            error.add_note(f"in {block.place}")
            raise
        before = block.language


def check_json(text: str) -> None:
    json.loads(text)


def check_ini(text: str) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    assert set(parser.sections()) <= {"Install", "Service", "Unit"}
    assert unit(text)["ExecStart"][0].startswith("/")


def check_dockerfile(text: str) -> None:
    words = [line.split() for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    known = {"CMD", "COPY", "ENTRYPOINT", "FROM", "RUN", "USER", "WORKDIR"}
    assert {line[0] for line in words} <= known
    assert words[0][0] == "FROM"


def check_bash(text: str) -> None:
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    for line in commands(text.replace("$(", "").replace(")", "")):
        if "kit" in line:
            check_options(line[line.index("kit") :])


def check_yaml(text: str) -> None:
    (container,) = yaml.safe_load(text)["spec"]["template"]["spec"]["containers"]
    check_options(container["command"][container["command"].index("kit") :])


def check_powershell(text: str) -> None:
    """On Windows `kit` has the same options, and pip takes the same names."""
    for words in commands(text.replace("\\", "/")):
        if words[0] == "kit":
            check_options(words)
        if words[0] == "pip" or words[1:3] == ["-m", "pip"]:
            check_pip(words[words.index("pip") :])


def check_options(words: list[str]) -> None:
    """The command has these options, and takes their values."""
    command = kit.main.get_command(click.Context(kit.main), words[1])
    assert command
    command.make_context(words[1], list(words[2:]))


KINDS: dict[str, Callable[[str], object]] = {
    SHELL: lambda text: list(commands(text)),
    "python": ast.parse,
    "json": check_json,
    "bash": check_bash,
    "ini": check_ini,
    "yaml": check_yaml,
    "dockerfile": check_dockerfile,
    "toml": tomllib.loads,
    "html": str,
    "js": str,  # tests/export/web/test_module.py runs it
    "c": str,  # tests/export/c/test_page.py compiles it
    "cmake": str,
    "powershell": check_powershell,
    "text": str,
    "": str,
}


@pytest.mark.spawns
@pytest.mark.parametrize("page", pages(run=False))
def test_every_block_is_of_a_kind_that_is_checked(page: Path) -> None:
    for block in blocks(page):
        assert block.language in KINDS, block.place
        KINDS[block.language](block.text)


def known_options() -> set[str]:
    found = {"--help", "--version"}
    with click.Context(kit.main) as context:
        for name in kit.COMMANDS:
            command = kit.main.get_command(context, name)
            assert command
            found |= {option for item in command.params for option in (*item.opts, *item.secondary_opts)}
    return found


OTHERS_OPTIONS = {"--once", "--poll", "--preload", "--unit", "--data-binary"}  # of the examples, gunicorn, journalctl


@pytest.mark.parametrize("page", pages(run=False))
def test_commands_and_options_in_sentences_exist(page: Path) -> None:
    options = known_options() | OTHERS_OPTIONS
    for piece in inline_code(page):
        words = piece.split()
        if words[0] == "kit" and len(words) > 1:
            assert words[1].removeprefix("-").removeprefix("-") in {*kit.COMMANDS, "help", "version"}, piece
        if words[0] == "make" and len(words) > 1:
            check_make(words)
        if words[0] == "pytest":
            check_pytest(words)
        if words[:2] == ["python", "-m"]:
            module = words[2].replace(".", "/")
            assert (ROOT / f"{module}.py").exists() or (ROOT / module / "__main__.py").exists(), piece
        if re.fullmatch(r"(benchmarks|docs|examples|export|runtime|tests|trainer)/\w+(/\w+)*\.(md|py)", piece):
            assert (ROOT / piece).exists(), piece
        if words[:2] == ["pip", "install"] and "softmax-kit" in piece:
            check_pip([word.strip("'") for word in words])
        if words[0] == "kit" or words[0].startswith("--"):
            unknown = {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)} - options
            assert not unknown, piece


@pytest.mark.parametrize("page", pages(run=False))
def test_links_lead_to_files(page: Path) -> None:
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text()):
        for child in token.children or ():
            target = str(child.attrGet("href") or "").partition("#")[0]
            if target and not target.startswith("https:"):
                assert (page.parent / target).exists(), target


def test_the_demo_prints_the_commands_of_the_makefile() -> None:
    shown = next(block for block in blocks(ROOT / "README.md") if block.text.startswith(".venv/bin/kit train"))
    makefile = (ROOT / "Makefile").read_text().replace("$(VENV)", ".venv").replace("$(DEVICE)", ".venv-device")
    recipe = re.search(r"^demo:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe
    expected = [line.strip() for line in recipe[1].splitlines() if not line.startswith("\t@")]
    assert [line for line in shown.text.splitlines() if line.startswith(".venv")] == expected


Template = list[str | None]  # the fixed parts of a text, and None for what is filled in


def filled(node: ast.AST, constants: dict[str, str]) -> Template:
    """A text in the source as a template; of what is filled in, constants of the same file are known."""
    if isinstance(node, ast.JoinedStr):
        return [part for value in node.values for part in filled(value, constants)]
    if isinstance(node, ast.FormattedValue):
        known = constants.get(node.value.id) if isinstance(node.value, ast.Name) else None
        return [None] if known is None else filled(ast.Constant(known), constants)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [part for text in re.split(r"\{\w*\}", node.value) for part in (None, text)][1:]
    return []


@cache
def templates() -> list[Template]:
    """All texts in the packages that have a fixed part of some length."""
    found = []
    for path in (path for part in ("export", "runtime", "trainer") for path in (ROOT / part).rglob("*.py")):
        tree = ast.parse(path.read_text())
        assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
        constants = {ast.unparse(n.targets[0]): n.value.value for n in assigned if isinstance(n.value, ast.Constant)}
        texts = {name: value for name, value in constants.items() if isinstance(value, str)}
        found += [filled(node, texts) for node in ast.walk(tree)]
    return [template for template in found if fixed(template) >= LEAST]


def fixed(template: Template) -> int:
    """How many letters do not depend on what is filled in."""
    return sum(len(part) for part in template if part)


def fits(message: str, template: Template) -> bool:
    """Whether the message is this text, after the name of a file maybe, and most of it is not filled in."""
    pattern = "".join(".*" if part is None else re.escape(part) for part in template)
    return fixed(template) >= SHARE * len(message) and bool(re.fullmatch(rf"(?:\S+: )?{pattern}", message))


QUOTED = [block for block in blocks(ROOT / "docs" / "troubleshooting.md") if block.language == "text"]
BUDGET = next(block for block in QUOTED if " p99_us " in block.text)  # which the code puts together from pieces


@pytest.mark.parametrize("block", [pytest.param(block, id=block.place) for block in QUOTED if block != BUDGET])
def test_messages_are_quoted_exactly(block: Block) -> None:
    message = block.text.rstrip("\n").removeprefix("kit: ").removeprefix("note: ")
    assert "\n" not in message
    assert any(fits(message, template) for template in templates()), message


@pytest.mark.spawns
def test_the_message_about_a_budget(reader: Reader) -> None:
    reader.run(["kit", "bench", "model.onnx", "--budget", "p99_us=0"])
    reader.output = reader.errors
    reader.expect(BUDGET.text)


def test_every_page_is_in_the_table_of_contents() -> None:
    text = (ROOT / "docs" / "index.md").read_text()
    listed = {line for block in re.findall(r"\{toctree\}\n(.*?)```", text, re.DOTALL) for line in block.split()}
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"} <= listed
