"""What the benchmarks share: the machine, interleaved timing, fresh processes, Markdown tables."""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import click

from runtime.processes import cpus

ROOT = Path(__file__).parents[2]
FASHION_FILE = Path("FashionMNIST", "raw", "train-images-idx3-ubyte")
PROC_STAT = Path("/proc/stat")
PACKAGES = ("torch", "numpy", "scikit-learn")
CONTENDERS, NONE = "contender; ÷ ours", "–"  # the head of a table of ratios, and what stands where there is none
CALL = (
    "import importlib, json, sys\n"
    "module, name, settings = sys.argv[1:]\n"
    "print(json.dumps(getattr(importlib.import_module(module), name)(**json.loads(settings))))"
)

Seconds = dict[str, list[float]]
Command = Callable[..., Any]
Figures = dict[str, Any]
Found = dict[str, Figures]  # by contender, ours first
Shares = dict[str, dict[str, float]]  # by what is compared and by contender


def machine(packages: Sequence[str] = PACKAGES) -> str:
    """Describe the machine and its load in a line."""
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    cores = f"{cpus()} core" + "s" * (cpus() > 1)
    return (
        f"{_cpu_model()}, {cores}, OMP_NUM_THREADS {threads}; Python {platform.python_version()}, {versions}; "
        f"load before: {load}"
    )


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


class Disturbance:
    """How much of the processor time went to others since this was made; from /proc/stat, so on Linux alone."""

    def __init__(self) -> None:
        self._before = self._now()

    def __str__(self) -> str:
        total, busy, stolen, own = (now - before for now, before in zip(self._now(), self._before, strict=True))
        if not total:
            return "the share of other processes is not known"
        return (
            f"of the cores' time while this ran, other processes took {max(0.0, busy - own) / total:.0%} "
            f"and the host's other guests {stolen / total:.0%}"
        )

    @staticmethod
    def _now() -> tuple[float, ...]:
        """Seconds of all cores together: all, busy, stolen by the host; and those of this process and its children."""
        if not PROC_STAT.exists():
            return 0.0, 0.0, 0.0, 0.0
        ticks = [int(text) / os.sysconf("SC_CLK_TCK") for text in PROC_STAT.read_text().split()[1:9]]
        user, nice, system, _, _, irq, soft_irq, stolen = ticks
        own = sum(os.times()[:4])
        return sum(ticks), user + nice + system + irq + soft_irq, stolen, own


def interleaved(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    warm_up: bool = True,
    pause: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> Seconds:
    """Time each contender once a round, one after the other, after an untimed round unless told otherwise.

    pause: seconds to wait before each, for what the one before has left running. clock: seconds from any start.
    """
    seconds: Seconds = {name: [] for name in contenders}
    for number in range(-1 if warm_up else 0, rounds):
        for name, call in contenders.items():
            time.sleep(pause)
            started = clock()
            call()
            if number >= 0:
                seconds[name].append(clock() - started)
    return seconds


def comparison(seconds: Seconds, ours: str, limits: Mapping[str, float]) -> str:
    """Lay out medians, and the ratio of our median to each peer's; limits: the largest ratio to aim at."""
    mine = median(seconds[ours])
    rows = []
    for name, times in seconds.items():
        middle = median(times)
        ratio = "" if name == ours else f"{mine / middle:.3f}"
        aim = aimed(mine / middle, limits[name]) if name in limits else ""
        rows.append((name, f"{middle:.3f}", f"{min(times):.3f}", ratio, aim))
    return table(("what", "median, s", "fastest, s", "ours ÷ this", "target"), rows)


def aimed(value: float, limit: float, *, least: bool = False) -> str:
    """Write a limit, and whether it is met.

    least: whether the limit is the smallest value, not the largest.
    """
    met = value >= limit if least else value <= limit
    return f"{'≥' if least else '≤'} {limit:.4g}: {'met' if met else 'MISSED'}"


def medians(runs: Mapping[str, Sequence[Figures]]) -> Found:
    """By contender, the median of each of its figures over the rounds; of values that are not numbers, the last."""
    return {name: {key: _middle([one[key] for one in of]) for key in of[0]} for name, of in runs.items()}


def _middle(values: Sequence[Any]) -> Any:
    return median(values) if all(isinstance(value, (int, float)) for value in values) else values[-1]


def ratios_of_rounds(runs: Mapping[str, Sequence[Figures]], keys: Mapping[str, str]) -> Shares:
    """As `ratios`, but each the median of the rounds' own: a virtual core changes its speed from round to round."""
    ours = next(iter(runs.values()))
    return {
        what: {
            name: median(one[key] / mine[key] for one, mine in zip(of, ours, strict=True)) for name, of in runs.items()
        }
        for what, key in keys.items()
    }


def multiples(found: Found, key: str) -> dict[str, float]:
    """A cost of each contender as a multiple of the first's, which is ours; those without that cost are left out."""
    ours = next(iter(found.values()))[key]
    return {name: figures[key] / ours for name, figures in found.items() if key in figures}


def ratios(found: Found, keys: Mapping[str, str]) -> Shares:
    """By what is compared and by contender: its cost as a multiple of ours. keys: what is compared → the figure."""
    return {what: multiples(found, key) for what, key in keys.items()}


def compared(found: Found, keys: Mapping[str, str], figures: Mapping[str, Callable[[Figures], object]]) -> str:
    """Lay out two tables: the ratios, and what they come from. figures: by heading, how a contender's is written."""
    return laid_out(ratios(found, keys), found, figures)


def laid_out(shares: Shares, found: Found, figures: Mapping[str, Callable[[Figures], object]]) -> str:
    """As `compared`, from ratios that are there."""
    of_ours = [
        (name, *(multiple(share[name]) if name in share else NONE for share in shares.values())) for name in found
    ]
    each = [(name, *(write(one) for write in figures.values())) for name, one in found.items()]
    return f"{table((CONTENDERS, *shares), of_ours)}\n\n{table(('contender', *figures), each)}"


def multiple(ratio: float) -> str:
    """Write a ratio with three digits, or none beyond."""
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}" if ratio < 10 else f"{ratio:.1f}"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lay out a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def check(holds: bool, expected: str, found: object) -> None:
    """Refuse to report the time of a wrong answer."""
    if not holds:
        raise click.ClickException(f"wrong answer: expected {expected}, found {found}")


fashion = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    envvar="KIT_DATA_DIR",
    show_envvar=True,
    help="Folder of Fashion-MNIST.",
)


def photo_folders(command: Command) -> Command:
    """Add the options for the folders of photos, train/<class>/* and test/<class>/*."""
    folder = click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True)
    command = click.option("--cifar", type=folder, help="Folder of CIFAR-10 photos.")(command)
    return click.option("--flowers", type=folder, help="Folder of photos of flowers.")(command)


def fashion_dir(data_dir: Path | None) -> Path:
    """Return the folder that holds Fashion-MNIST, or say what is missing."""
    if data_dir and (data_dir / FASHION_FILE).exists():
        return data_dir
    place = f"in {data_dir}" if data_dir else "named by --data-dir or KIT_DATA_DIR"
    raise click.ClickException(f"expected a folder {place} with {FASHION_FILE}: pass where Fashion-MNIST lies")


def process(*arguments: str | Path, python: str | Path = sys.executable) -> str:
    """Run Python with these arguments from the repository's root to its end; return what it printed.

    Its modules are compiled once, as those of an installed package are, whatever the environment says.
    python: which one.
    """
    command = [str(python), *map(str, arguments)]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=variables, check=False)  # noqa: S603
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise click.ClickException(f"expected {' '.join(command[1:4])} to end well, found {done.returncode}: {last}")
    return done.stdout


def fresh(function: Callable[..., Figures], **settings: Any) -> Figures:
    """Call a function at the top of a module in a fresh process; its settings and its answer pass as JSON."""
    return fresh_in(sys.executable, function, **settings)


def fresh_in(python: str | Path, function: Callable[..., Figures], **settings: Any) -> Figures:
    """Call it in a fresh process of another Python, which need not have this one's packages."""
    module = sys.modules[function.__module__]
    name = module.__spec__.name if module.__spec__ else module.__name__  # by which it can be imported elsewhere too
    output = process("-c", CALL, name, function.__name__, json.dumps(settings), python=python)
    answer: Figures = json.loads(output.splitlines()[-1])
    return answer
