"""The command line as a whole: its help, its version, wrong calls, its streams, and Ctrl-C."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import kit
from runtime.commands.completion import SHELLS
from runtime.decision import Decision
from tests.interpreter import UNMEASURED, Kit
from trainer import Checkpoint, Dataset, save_checkpoint

COMMANDS = {
    "train": ["train", "--data", "digits", "--epochs", "2", "--out", "run"],
    "audit": ["audit", "digits", "--no-labels"],
    "calibrate": ["calibrate", "decided.safetensors"],
    "runs": ["runs"],
    "compare": ["compare", "old", "old"],
    "export": ["export", "model.safetensors", "--format", "onnx", "--output", "new.onnx"],
    "classify": ["classify", "digit.png", "--model", "model.onnx"],
    "evaluate": ["evaluate", "--model", "model.onnx", "--data", "digits"],
    "inspect": ["inspect", "model.onnx"],
    "selftest": ["selftest", "model.onnx"],
    "bench": ["bench", "model.onnx", "--seconds", "0.1"],
    "completion": ["completion", "bash"],
}
FIGURES = {f"{part}_{name}": 0.5 for part in ("train", "test") for name in ("loss", "accuracy")}
RUN = {  # files of a run
    "report.json": json.dumps({"figures": FIGURES, "metrics": {"calibration_error": 0.1}, "seconds": 1.5}),
    "predictions.csv": "image,target,label,probability\n0,a,a,0.75\n1,b,a,0.5\n",
    "history.csv": "epoch,test_loss,test_accuracy\n1,0.5,0.5\n",
}
LOADING = "kit train: loading torch and the images"
PROGRESS = (LOADING, "digits: ", "weight decay ", "epoch ", "144 held-out ", "prediction sets: ")  # lines of kit train
# The command line as a program that hears Ctrl-C in the way of the first argument, when the module of the second one is
# imported. Prints a line once kit.py runs, where it imports click.
PROGRAM = """
import os, runpy, signal, sys, weakref
way, module = sys.argv.pop(1), sys.argv.pop(1)
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            print("started", flush=True)
        if name == module:
            hear[way]()
def swallowed():
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        pass
def converted():
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException as error:
        raise ImportError("initialization failed") from error
hear = {
    "raised": lambda: os.kill(os.getpid(), signal.SIGINT),
    "swallowed": swallowed,
    "converted": converted,
    "lost": lambda: weakref.finalize(set(), os.kill, os.getpid(), signal.SIGINT),
}
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupt())
runpy.run_module("kit", run_name="__main__", alter_sys=True)
"""
NEVER = "no.such.module"


@pytest.fixture
def folder(tmp_path: Path, model: Path, checkpoint: Checkpoint, digits: Dataset) -> Path:
    """A folder with what the commands read."""
    shutil.copy(model, tmp_path / "model.onnx")
    save_checkpoint(checkpoint, tmp_path / "model.safetensors")
    targets = np.arange(60) % 10
    logits = np.eye(10, dtype=np.float32)[targets] * 3
    decided = dataclasses.replace(checkpoint, decision=Decision(), held_out_logits=logits, held_out_targets=targets)
    save_checkpoint(decided, tmp_path / "decided.safetensors")
    (tmp_path / "old").mkdir()
    for name, text in RUN.items():
        (tmp_path / "old" / name).write_text(text)
    Image.fromarray(digits.test.images[0].numpy().squeeze()).save(tmp_path / "digit.png")
    return tmp_path


def start(folder: Path, way: str, module: str, arguments: Sequence[str]) -> subprocess.Popen[str]:
    """Start the program and wait until it runs."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, way, module, *arguments], cwd=folder, env={**os.environ, **UNMEASURED},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline() == "started\n"
    return process


def shell(folder: Path, script: str, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a line of sh, in which "$@" stands for the command line; Python's own buffers are on, as by default."""
    command = ["sh", "-c", script, "sh", sys.executable, "-m", "kit", *arguments]
    environment = {**os.environ, **UNMEASURED, "PYTHONUNBUFFERED": ""}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_help_names_every_command_in_order(run_kit: Kit) -> None:
    lines = run_kit("--help").stdout.partition("Commands:")[2].splitlines()
    assert [line.split()[0] for line in lines if line.strip()] == list(kit.COMMANDS) == list(COMMANDS)
    for name in kit.COMMANDS:
        assert run_kit(name, "--help").exit_code == 0


def test_version(run_kit: Kit) -> None:
    assert run_kit("--version").stdout.startswith("kit, version ")


@pytest.mark.spawns
def test_kit_train_says_at_once_that_it_loads(tmp_path: Path) -> None:
    """Before numpy and torch are imported: within 0.3 s, and what the machine takes to start Python besides."""

    def first_line(*arguments: str) -> tuple[float, str]:
        started = time.monotonic()
        with subprocess.Popen([sys.executable, *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr
            line = process.stderr.readline()
            seconds = time.monotonic() - started
            process.kill()
        return seconds, line

    plain = min(first_line("-c", "pass")[0] for _ in range(3))
    found = [first_line("-m", "kit", "train", "--data", "missing") for _ in range(3)]
    assert {line for _, line in found} == {f"{LOADING}\n"}
    assert min(seconds for seconds, _ in found) < 0.3 + 3 * plain


def test_only_a_training_says_that_it_loads(run_kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    assert LOADING not in run_kit("train", "--help").output
    monkeypatch.setenv("RANK", "1")
    assert LOADING not in run_kit("train", "--data", "missing").output


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["no-such-command"], 2, "No such command 'no-such-command'.\n"),
        (["clasify"], 2, "No such command 'clasify'. Did you mean 'classify'?\n"),
        (["--no-such-option"], 2, "No such option '--no-such-option'"),
        (["train", "--epohcs", "3"], 2, "'--epochs'"),
        (["train", "--data", "fashion_mnst"], 1, "found 'fashion_mnst': did you mean fashion-mnist?\n"),
        (["train", "--data", "photos"], 1, "found 'photos'\n"),
    ],
)
def test_wrong_calls(run_kit: Kit, arguments: list[str], status: int, message: str) -> None:
    result = run_kit(*arguments)
    assert (result.exit_code, result.stdout) == (status, "")
    assert message in result.stderr


@pytest.mark.spawns
@pytest.mark.parametrize("name", SHELLS)
def test_completion(run_kit: Kit, name: str) -> None:
    """Its script is one of that shell, where it is installed, and asks kit."""
    result = run_kit("completion", name)
    assert result.exit_code == 0
    assert f"_KIT_COMPLETE={name}_complete" in result.stdout
    if shutil.which(name):
        subprocess.run([name, "-n"], input=result.stdout, text=True, check=True)


@pytest.mark.parametrize(("words", "found"), [("kit ca", ["plain,calibrate"]), ("kit bench --bu", ["plain,--budget"])])
def test_what_is_completed(monkeypatch: pytest.MonkeyPatch, words: str, found: list[str]) -> None:
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    monkeypatch.setenv("_KIT_COMPLETE", "bash_complete")
    result = CliRunner().invoke(kit.main, prog_name="kit")
    assert (result.exit_code, result.stdout.splitlines(), result.stderr) == (0, found, "")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["inspect", ""], "'inspect'"),
        (["classify", "a.png", "--model", ""], "'--model'"),
        (["classify", "a.png", "--model=", "b"], "'--model'"),
        (["classify", "a.png", "--model", "m.onnx", "--output", ""], "'--output'"),
        (["train", "--data", "digits", "--out", ""], "'--out'"),
        (["export", "--verify-on", ""], "'--verify-on'"),
        (["train", "--data-dir="], "'--data-dir'"),
        ([""], "''"),
    ],
)
def test_empty_arguments(run_kit: Kit, arguments: list[str], name: str) -> None:
    """Such as a variable that is not set leaves."""
    result = run_kit(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1] == f"Error: expected a value for {name}, found an empty one"


def test_a_bug_is_not_hidden(run_kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.commands.classify.load", lambda *_, **__: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        run_kit("classify", "image.png", "--model", "model.onnx")


def test_ctrl_c_in_a_command(run_kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Path, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("runtime.commands.selftest.load", interrupted)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        result = run_kit("selftest", "model.onnx")
        assert (result.exit_code, result.stdout, result.stderr) == (130, "", "kit: interrupted\n")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, handler)


@pytest.mark.spawns
@pytest.mark.parametrize(
    ("way", "module", "name"),
    [
        ("raised", "click", "train"),
        ("raised", "click.core", "selftest"),
        ("raised", "runtime.errors", "inspect"),
        ("swallowed", "numpy", "classify"),
        ("raised", "onnxruntime", "selftest"),
        ("converted", "onnxruntime.capi", "evaluate"),
        ("raised", "json", "bench"),
        ("swallowed", "onnx", "export"),
        ("raised", "torch", "train"),
        ("swallowed", "torch.nn", "train"),
        ("lost", "trainer.report.run", "train"),
    ],
)
def test_ctrl_c_in_an_import(way: str, module: str, name: str, folder: Path) -> None:
    """Where a library catches it, makes an error of its own of it, or Python cannot raise it, too."""
    before = set(folder.iterdir())
    process = start(folder, way, module, COMMANDS[name])
    before_it = f"{LOADING}\n" if name == "train" and module != "click" else ""
    assert process.communicate(timeout=60) == ("", f"{before_it}kit: interrupted\n")
    assert process.returncode == 130
    assert set(folder.iterdir()) == before


@pytest.mark.slow
@pytest.mark.spawns
@pytest.mark.parametrize("arguments", [*COMMANDS.values(), [*COMMANDS["classify"], "--output", "out"]], ids=" ".join)
def test_ctrl_c_at_any_time(arguments: list[str], folder: Path) -> None:
    """One line, unless all is done; `kit train` says in it what it has saved."""
    for tenths in range(0, 40, 2):
        shutil.rmtree(folder / "out", ignore_errors=True)
        process = start(folder, "raised", NEVER, arguments)
        time.sleep(tenths / 10)
        ended = process.poll() is not None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        complaints = [line for line in errors.splitlines() if not line.startswith(PROGRESS)]
        assert [line[:16] for line in complaints] == ["kit: interrupted"] * (process.returncode == 130), errors
        assert process.returncode in (0, 130)
        assert not list(folder.rglob("*.part"))
        if ended:
            break
    assert tenths > 0


@pytest.mark.spawns
def test_ctrl_c_that_is_ignored(folder: Path) -> None:
    """As where a shell script starts a command in the background."""
    result = shell(folder, 'trap "" INT; "$@" & sleep 0.1; kill -INT $!; wait $!', COMMANDS["selftest"])
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.spawns
@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["inspect", "--help"],
        *(
            pytest.param(words, marks=pytest.mark.slow) if name in ("audit", "evaluate") else words
            for name, words in COMMANDS.items()
        ),
    ],
    ids=" ".join,
)
def test_a_full_standard_output(arguments: list[str], folder: Path) -> None:
    result = shell(folder, '"$@" > /dev/full', arguments)
    assert result.returncode == 1
    assert [line for line in result.stderr.splitlines() if not line.startswith(PROGRESS)] == [
        "kit: expected room for what is printed, found: No space left on device: print elsewhere"
    ]


@pytest.mark.spawns
@pytest.mark.parametrize("arguments", [["--help"], COMMANDS["inspect"], COMMANDS["export"]], ids=" ".join)
def test_a_closed_standard_output(arguments: list[str], folder: Path) -> None:
    """Nothing is done: the first file that is written would be standard output to the libraries."""
    before = set(folder.iterdir())
    result = shell(folder, '"$@" >&-', arguments)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == ("kit: expected standard output to print to, found it closed: redirect it to /dev/null\n")
    assert set(folder.iterdir()) == before


@pytest.mark.spawns
def test_a_reader_that_has_gone(folder: Path) -> None:
    result = shell(folder, '"$@" | head -0', COMMANDS["inspect"])
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.spawns
@pytest.mark.parametrize("redirected", ["2>&-", "2>/dev/full"])
def test_a_standard_error_that_takes_nothing(redirected: str, folder: Path) -> None:
    """Nothing changes but what is printed there, and errors do not go elsewhere."""
    missing = ["inspect", "missing.onnx"]
    for arguments, status in ((COMMANDS["selftest"], 0), (["export", "--output", "new.onnx"], 0), (missing, 1)):
        (folder / "runs" / "digits").mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "model.safetensors", folder / "runs" / "digits")
        result = shell(folder, f'"$@" {redirected}', arguments)
        assert (result.returncode, bool(result.stdout)) == (status, not status)


@pytest.mark.spawns
def test_a_closed_standard_input(folder: Path) -> None:
    result = shell(folder, '"$@" <&-', ["classify", "-", "--model", "model.onnx"])
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert "found nothing (0 bytes)" in result.stderr
