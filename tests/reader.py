"""Reading a page of the documentation as its readers do: block by block, command by command.

What is run: `kit`, `python` with a script, `pip wheel`, `cp`, `mv`, `cat`, and the page's Python. A few commands are
played, since they need what a test does not have: another machine (`ssh`, `scp`), root (`systemctl`), docker, time
(`sleep`), a server (`flask`), several processes (`torchrun`). The rest, in CHECKS, are not run; they are held against
the repository.
"""

import configparser
import contextlib
import io
import itertools
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner
from markdown_it import MarkdownIt

import kit

ROOT = Path(__file__).parents[1]
SHELL = "sh"
VALUED = {"--target", "--torch-backend"}  # pip's and uv's options with a value
OVER_BUDGET = re.compile(r"(kit: .*: expected \w+ at (most|least) .*\n)+")
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[-+]\d+)?…?")


@dataclass(frozen=True)
class Block:
    """language: of a fenced block, or "". An indented block is "sh", or "" if it is a diagram or a formula."""

    place: str
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The blocks of code on a page; the directives of Sphinx, which it runs itself, are left out."""
    found = []
    for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8")):
        place = f"{page.name}:{token.map[0] + 1}" if token.map else page.name
        if token.type == "fence" and not token.info.startswith("{"):
            found.append(Block(place, token.info, token.content))
        elif token.type == "code_block":
            found.append(Block(place, SHELL if token.content.isascii() else "", token.content))
    return found


def inline_code(page: Path) -> list[str]:
    """The pieces of code within a page's sentences."""
    tokens = MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))
    pieces = [child for token in tokens for child in token.children or ()]
    return [" ".join(piece.content.split()) for piece in pieces if piece.type == "code_inline"]


def commands(text: str) -> Iterator[list[str]]:
    """Split a block into commands, each a list of words."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            yield words


def unit(text: str) -> dict[str, list[str]]:
    """The commands in a systemd unit, by the option that holds them."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    service = parser["Service"]
    return {name: shlex.split(value) for name, value in service.items() if name.startswith("ExecStart")}


def check_make(words: list[str]) -> None:
    """Each target is in the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    for target in (word for word in words[1:] if "=" not in word):
        assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), f"the Makefile has no {target}"


def check_pip(words: list[str]) -> None:
    """Each extra is in pyproject.toml, and nothing is installed but the kit, from here or by its name."""
    assert words[1] == "install", words
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras, wheel = project["optional-dependencies"], f"softmax_kit-{project['version']}-py3-none-any.whl"
    options = {"--editable", "--no-cache", "--no-cache-dir", "--prefix=/installed", "--system"}
    for before, word in itertools.pairwise(words[1:]):
        if word in options | VALUED or before in VALUED:
            continue
        found = re.fullmatch(rf"(?:softmax-kit|\.|\./(?:dist/)?{re.escape(wheel)})(?:\[([a-z,]+)\])?", word)
        assert found, f"{word} is not the kit"
        assert not word.endswith(("whl", "whl]")) or Path(word.partition("[")[0]).exists(), f"there is no {word}"
        assert set((found[1] or "dev").split(",")) <= set(extras), f"{word}: no such extra"


def check_uv(words: list[str]) -> None:
    """`uv venv`, `uv tool install` and `uv pip install`, the last two as those of pip."""
    assert words[1] in {"pip", "tool"} or words[1:] == ["venv"], words
    if words[2:]:
        check_pip(words[1:])


def check_pytest(words: list[str]) -> None:
    """Each file is there."""
    assert all((ROOT / word).exists() for word in words if "/" in word), words


def check_nothing(words: list[str]) -> None:
    """There is nothing in the repository to hold it against."""


CHECKS: dict[str, Callable[[list[str]], None]] = {
    ".": check_nothing,
    "curl": check_nothing,
    "du": check_nothing,
    "export": check_nothing,
    "git": check_nothing,
    "make": check_make,
    "pipx": check_pip,
    "pre-commit": check_nothing,
    "pytest": check_pytest,
    "uv": check_uv,
}


class Reader:
    """Follows a page, beginning in a folder that holds what the page takes for granted.

    data_dir: what DIR stands for. output: of the block that was run last. errors: what `kit` printed last as such.
    """

    def __init__(self, folder: Path, data_dir: Path, monkeypatch: Any) -> None:
        self.computer, self.device = folder, folder / "device"
        self._data_dir, self._monkeypatch = data_dir, monkeypatch
        self._namespace: dict[str, Any] = {"__name__": "a page", "pixels": np.zeros((2, 28, 28, 1), np.uint8)}
        self._unit: dict[str, list[str]] = {}
        self._services: list[list[str]] = []
        self._known: dict[str, Callable[[list[str]], str | None]] = {
            **dict.fromkeys(("cat", "cp", "mv"), self._program),
            "cd": self._cd,
            "docker": self._docker,
            "flask": self._flask,
            "kit": self._kit,
            "pip": self._pip,
            "python": self._interpreter,
            "scp": self._scp,
            "sleep": self._sleep,
            "ssh": self._ssh,
            "sudo": self._sudo,
            "systemctl": self._systemctl,
            "torchrun": self._torchrun,
        }
        self.output = self.errors = ""
        self._go(folder)

    def read(self, block: Block) -> None:
        """Do what a block says."""
        if block.language == SHELL:
            self.output = "".join([self.run(words) for words in commands(block.text)])
        elif block.language == "python":
            self.output = self._python(block.text)
        elif block.language == "ini":
            self._unit = unit(block.text)

    def expect(self, text: str) -> None:
        """Compare what was printed with what the page says, but for the numbers; a line of … stands for any."""
        shown, found = (NUMBER.sub("#", re.sub(r"[ \t]+", " ", part)).splitlines() for part in (text, self.output))
        pattern = "".join(r"(?:.*\n)*?" if line == "…" else re.escape(line) + "\n" for line in shown)
        assert re.fullmatch(pattern, "".join(f"{line}\n" for line in found)), f"expected\n{text}\nfound\n{self.output}"

    def run(self, words: list[str]) -> str:
        """Run, play or check a command; return what it prints."""
        name = Path(words[0]).name.removesuffix("3") or words[0]
        words = [str(self._data_dir) if word == "DIR" else word for word in words]
        if name in CHECKS:
            CHECKS[name](words)
            return ""
        assert name in self._known, f"{name}: expected a command that this reader knows"
        return self._known[name](words) or ""

    def _go(self, folder: Path) -> None:
        self._monkeypatch.chdir(folder)

    def _program(self, words: list[str]) -> str:
        return subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout

    def _cd(self, words: list[str]) -> None:
        self._go(Path.cwd() / words[1])

    def _kit(self, words: list[str]) -> str:
        quick = ["--seconds", "0.1"] if words[1] == "bench" else []
        words = ["local" if word == "ray" else word for word in words]  # whose start alone takes long; it has its tests
        result = CliRunner().invoke(kit.main, [*words[1:], *quick])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        self.errors = result.stderr
        over_budget = "--budget" in words and OVER_BUDGET.fullmatch(result.stderr)
        assert result.exit_code == 0 or over_budget, result.output
        return result.output

    def _interpreter(self, words: list[str]) -> str:
        if words[1:3] == ["-m", "venv"]:
            return ""
        if words[1:3] == ["-m", "pip"]:
            check_pip(words[2:])
            return ""
        command = [sys.executable, *words[1:]]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def _pip(self, words: list[str]) -> None:
        """Build a wheel of the kit, in no environment of its own, which would take long; or check what is installed."""
        if words[1] != "wheel":
            return check_pip(words)
        assert words[2:-2] == ["--no-deps", "--wheel-dir"], words
        assert words[-1] == ".", words
        folder = str(Path(words[-2]).resolve())
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
        return None

    def _python(self, code: str) -> str:
        """Run Python in the page's namespace, or a script, which has a main part, in an interpreter of its own."""
        if "__main__" in code:
            Path("script.py").write_text(code)
            return self._interpreter(["python", "script.py"])
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "a page", "exec"), self._namespace)
        return printed.getvalue()

    def _ssh(self, words: list[str]) -> None:
        """Go to the device, or make a folder there."""
        self.device.mkdir(exist_ok=True)
        if words[2:]:
            assert words[2:4] == ["mkdir", "-p"], words
            (self.device / words[4]).mkdir(parents=True)
        else:
            self._go(self.device)

    def _scp(self, words: list[str]) -> None:
        for source in words[1:-1]:
            shutil.copy(Path.cwd() / source, self.device / words[-1].partition(":")[2])

    def _sudo(self, words: list[str]) -> str:
        return self.run(words[1:])

    def _systemctl(self, words: list[str]) -> None:
        """Start the page's unit; it does its work when there is a sleep."""
        if "enable" in words:
            assert self._unit, "no unit comes before this"
            self.run(self._unit["ExecStartPre"])
            self._services.append(self._unit["ExecStart"])

    def _sleep(self, words: list[str]) -> str:  # noqa: ARG002 - as the others
        return "".join(self._interpreter([*service, "--once", "--poll", "0.05"]) for service in self._services)

    def _docker(self, words: list[str]) -> str:
        """Run what the image's entry point, which is `kit`, is given."""
        tag = next(word for word in words if word.startswith("softmax-kit"))
        if words[1] == "build":
            assert words[2:] in (["--tag", tag, "."], ["--tag", tag, "--file", "Dockerfile.train", "."]), words
            return ""
        assert words[1] == "run", words
        return self._kit(["kit", *words[words.index(tag) + 1 :]])

    def _torchrun(self, words: list[str]) -> str:
        """Let one process do what several were to do; that several do the same has its tests."""
        return self._kit(words[words.index("--no-python") + 1 :])

    def _flask(self, words: list[str]) -> str:
        """Let it find the application, and list its routes rather than run it."""
        assert words[-1] == "run", words
        return self._interpreter(["python", "-m", "flask", *words[1:-1], "routes"])
