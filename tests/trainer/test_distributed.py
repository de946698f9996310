"""Several processes that train one model: the weights of one, what rank 0 says and writes, and ranks that die."""

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from tests.interpreter import Kit
from tests.ranks import environment, in_two_processes
from trainer import Checkpoint, Dataset, FitConfig, fit, load_checkpoint
from trainer.distributed import ALONE, Group
from trainer.softmax_regression import cross_entropy_gradient

ROOT = Path(__file__).parents[2]
BASE = FitConfig(epochs=3, batch_size=16, device="cpu", calibrate=False)
CONFIGS = {
    "sgd": BASE,
    "one image too many": dataclasses.replace(BASE, batch_size=1436),
    "validation and class weights": dataclasses.replace(BASE, val_fraction=0.2, class_weights="balanced"),
    "small windows": dataclasses.replace(BASE, shuffle_window=64 * 300),
    "auto": FitConfig(seed=BASE.seed, device="cpu", weight_decay=1e-2, epochs=8),
    "lbfgs": dataclasses.replace(BASE, solver="lbfgs", epochs=8, weight_decay=1e-2),
}
SCRIPT = """
import dataclasses, json, sys
from pathlib import Path
import torch
from tests.ranks import environment, in_two_processes
from trainer import FitConfig, fit, load_data, save_checkpoint
from trainer.distributed import group

data, out = load_data("digits"), Path(sys.argv[2])
with group(torch.device("cpu")) as processes:
    for name, settings in json.loads(sys.argv[1]).items():
        config = FitConfig(**settings)
        found = fit(data, config, group=processes)
        assert all(torch.equal(processes.shared(tensor), tensor) for tensor in found.model.tensors().values())
        if processes.rank == 0:
            save_checkpoint(found.checkpoint, out / f"{name}.safetensors")

    seen = 0

    def count(images):
        global seen
        seen += 1

    config = FitConfig(**json.loads(sys.argv[1])["sgd"])
    part = fit(data, config, group=processes, on_batch=count, stop=lambda: processes.rank == 1 and seen >= 100)
    assert not part.finished and seen == 90 + 64, seen
    resumed = fit(data, config, group=processes, resume=processes.shared(part.checkpoint))
    if processes.rank == 0:
        save_checkpoint(resumed.checkpoint, out / "resumed.safetensors")
"""


def torchrun(*arguments: str | Path, processes: int = 2) -> list[str]:
    options = ["--standalone", "--nproc-per-node", str(processes)]
    return [sys.executable, "-m", "torch.distributed.run", *options, *map(str, arguments)]


def kit(out: Path, *options: str) -> list[str]:
    return ["-m", "kit", "train", "--data", "digits", "--device", "cpu", "--no-report", "--out", str(out), *options]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    """What two processes make of each of CONFIGS, and of an interrupted fit."""
    folder = tmp_path_factory.mktemp("together")
    (folder / "script.py").write_text(SCRIPT)
    settings = json.dumps({name: dataclasses.asdict(config) for name, config in CONFIGS.items()})
    done = in_two_processes(folder / "script.py", settings, folder)
    assert [status for status, _ in done] == [0, 0], done
    return {path.stem: load_checkpoint(path) for path in folder.glob("*.safetensors")}


@pytest.mark.spawns
@pytest.mark.parametrize("name", CONFIGS)
def test_two_processes_give_the_weights_of_one(name: str, together: dict[str, Checkpoint], digits: Dataset) -> None:
    alone = fit(digits, CONFIGS[name])
    found = together[name]
    np.testing.assert_allclose(found.weights, alone.checkpoint.weights, atol=1e-5)
    np.testing.assert_allclose(found.bias, alone.checkpoint.bias, atol=1e-5)
    np.testing.assert_array_equal(found.mean, alone.checkpoint.mean)
    np.testing.assert_array_equal(found.std, alone.checkpoint.std)
    assert found.provenance["settings"] == alone.checkpoint.provenance["settings"]
    assert found.provenance["figures"] == pytest.approx(alone.checkpoint.provenance["figures"], abs=1e-5)


@pytest.mark.spawns
def test_all_stop_at_the_same_minibatch_and_go_on_as_if_undisturbed(together: dict[str, Checkpoint]) -> None:
    np.testing.assert_array_equal(together["resumed"].weights, together["sgd"].weights)
    assert together["resumed"].provenance["figures"] == pytest.approx(together["sgd"].provenance["figures"], rel=1e-9)


@pytest.mark.spawns
def test_kit_train_under_torchrun(tmp_path: Path) -> None:
    """Rank 0 alone prints and writes."""
    command = torchrun(*kit(tmp_path / "run", "--epochs", "2", "--json"))
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["settings"]["epochs"] == 2
    assert done.stderr.count("epoch 2/2") == 1
    assert "on cpu, 2 processes" in done.stderr
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "MODEL_CARD.md",
        "history.csv",
        "model.safetensors",
        "predictions.csv",
        "report.json",
        "train.toml",
    ]


@pytest.mark.spawns
def test_what_goes_wrong_is_said_once(tmp_path: Path) -> None:
    done = in_two_processes("-m", "kit", "train", "--data", tmp_path)
    assert [status for status, _ in done] == [1, 1]
    said = "".join(error for _, error in done)
    assert sum(line.startswith("kit: ") for line in said.splitlines()) == 1
    assert "Traceback" not in said


def test_a_group_that_cannot_be_reached(run_kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    result = run_kit("train", "--data", "digits")
    assert result.exit_code == 1
    assert "\nkit: expected to join 2 processes, found: " in result.stderr


def test_an_empty_part_of_a_minibatch_has_no_gradient() -> None:
    assert cross_entropy_gradient(torch.empty(3, 0), torch.empty(3, 0)).shape == (3, 0)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_each_minibatch_is_shared_out_whole(size: int) -> None:
    order = torch.randperm(11, generator=torch.Generator().manual_seed(0))
    parts = [Group(rank, size).part(order, 4) for rank in range(size)]
    for number, minibatch in enumerate(order.split(4)):
        shares = [part.split(sizes)[number] for part, sizes in parts]
        assert torch.equal(torch.cat(shares), minibatch)
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_process_alone_is_its_own_group() -> None:
    tensors = [torch.ones(2)]
    assert ALONE.mean(tensors, 5) is tensors
    assert ALONE.sum(tensors[0]) is tensors[0]
    assert ALONE.any(True)
    assert not ALONE.any(False)
    assert ALONE.shared("it") == "it"
    assert Group().in_turn(lambda: 3) == 3


def workers(agent: subprocess.Popen[bytes]) -> Iterator[psutil.Process]:
    """The processes that torchrun has started."""
    return (child for child in psutil.Process(agent.pid).children() if "kit" in child.cmdline())


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_rank_changes_nothing(rank: int, tmp_path: Path) -> None:
    """The group is started anew, goes on from the last epoch, and ends with the weights of an undisturbed run."""
    options = ("--epochs", "60", "--batch-size", "16", "--lr", "0.01")
    undisturbed = torchrun(*kit(tmp_path / "undisturbed", *options))
    subprocess.run(undisturbed, env=environment(), capture_output=True, check=True)

    command = torchrun("--max-restarts", "3", *kit(tmp_path / "killed", *options))
    history = tmp_path / "killed" / "history.csv"
    with (tmp_path / "said").open("wb") as said, subprocess.Popen(command, env=environment(), stderr=said) as agent:
        for epochs in (3, 25):
            while not history.exists() or len(history.read_text().splitlines()) < epochs:
                assert agent.poll() is None, (tmp_path / "said").read_text()
                time.sleep(0.02)
            victim = next(child for child in workers(agent) if child.environ()["RANK"] == str(rank))
            victim.kill()
            while victim.is_running() and victim.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.02)
        assert agent.wait() == 0, (tmp_path / "said").read_text()
    found, expected = (load_checkpoint(tmp_path / name / "model.safetensors") for name in ("killed", "undisturbed"))
    assert found.progress is None
    np.testing.assert_array_equal(found.weights, expected.weights)
    rows = [line.split(",")[0] for line in history.read_text().splitlines()[1:]]
    assert rows == [str(epoch) for epoch in range(1, 61)]


@pytest.mark.slow
def test_a_restart_does_not_take_up_an_older_run(tmp_path: Path) -> None:
    """Killed before its first epoch ends, a new run in an old run's folder begins anew, not where the old one ended."""
    out = tmp_path / "run"
    subprocess.run([sys.executable, *kit(out, "--epochs", "1")], env=environment(), capture_output=True, check=True)
    old = (out / "model.safetensors").stat().st_mtime_ns
    command = torchrun("--max-restarts", "1", *kit(out, "--epochs", "60", "--batch-size", "1"))
    with (tmp_path / "said").open("wb") as said, subprocess.Popen(command, env=environment(), stderr=said) as agent:
        while (out / "model.safetensors").stat().st_mtime_ns == old:
            assert agent.poll() is None, (tmp_path / "said").read_text()
            time.sleep(0.01)
        next(iter(workers(agent))).kill()
        time.sleep(1)
        while len((out / "history.csv").read_text().splitlines()) < 2:
            time.sleep(0.05)
            assert agent.poll() is None, (tmp_path / "said").read_text()
        agent.terminate()
        agent.wait()
    assert load_checkpoint(out / "model.safetensors").provenance["settings"]["epochs"] == 60
