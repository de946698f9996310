"""An epoch of this checkout's trainer against one of another checkout's, in turns."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..tools.measure import ROOT, Seconds, check, comparison, interleaved

OURS, OTHER = "an epoch of this checkout", "an epoch of the other"
PAUSE = 0.05  # seconds; after an epoch OpenMP's threads busy-wait for more than 10 ms
LIMITS = {256: 1.10, 32: 1.20}  # by batch size
EPOCHS = """
import sys
from trainer import Dataset, FitConfig, Split, fit, load_data

data, folder, size, epochs = sys.argv[1:]
whole = load_data(data, data_dir=folder)
few = Split(whole.test.images[:10], whole.test.targets[:10])

def turn(epoch):
    print(epoch.test_loss, flush=True)
    sys.stdin.readline()

print("ready", flush=True)
sys.stdin.readline()
config = FitConfig(epochs=int(epochs), batch_size=int(size), device="cpu")
fit(Dataset(name=data, labels=whole.labels, train=whole.train, test=few), config, on_epoch=turn)
"""


def compare(
    other: Path, data: str, data_dir: Path, *, sizes: Sequence[int] = (256, 32), rounds: int, pairs: int = 3
) -> Iterator[str]:
    """Yield a table for each batch size. rounds: epochs that each process is timed for. pairs: of processes."""
    for size in sizes:
        seconds: Seconds = {OURS: [], OTHER: []}
        for _ in range(pairs):
            with ExitStack() as stack:
                arguments = (data, str(data_dir.resolve()), str(size), str(rounds + 1))
                ours, theirs = (stack.enter_context(trainer(folder, *arguments)) for folder in (ROOT, other))
                found = interleaved({OURS: ours, OTHER: theirs}, rounds, pause=PAUSE)
            for name, taken in found.items():
                seconds[name] += taken
        table = comparison(seconds, OURS, {OTHER: LIMITS[size]} if size in LIMITS else {})
        yield f"Batch size {size}:\n\n{table}"


@contextmanager
def trainer(checkout: Path, *arguments: str) -> Iterator["Epochs"]:
    """Start a process that trains with the code of a checkout, an epoch a call."""
    command = [sys.executable, "-c", EPOCHS, *arguments]
    with subprocess.Popen(  # noqa: S603
        command, cwd=checkout, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Epochs(process)
        process.communicate()
    check(process.returncode == 0, f"{checkout}: the training process to end well", process.returncode)


class Epochs:
    """Each call has a training process run its next epoch."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._read()

    def __call__(self) -> None:
        """Run an epoch."""
        assert self._process.stdin  # noqa: S101
        print(file=self._process.stdin, flush=True)
        self._read()

    def _read(self) -> None:
        assert self._process.stdout  # noqa: S101
        check(bool(self._process.stdout.readline()), "a training process that goes on", "its end")
