"""Two processes of a machine compute a share of the features each; the cache is as one process writes it."""

import json
from pathlib import Path

import pytest

from tests.ranks import in_two_processes
from trainer import Dataset, FeatureSettings, load_features

SCRIPT = """
import json, os, sys
from pathlib import Path
import torch
from trainer import FeatureSettings, load_data, load_features
from trainer.distributed import group
from trainer.features import extraction

way, out = sys.argv[1], Path(sys.argv[2])
rank, counted, told = int(os.environ["RANK"]), [], []
computed = extraction._computed

def spied(images, batches, features, progress):
    for block in computed(images, batches, features, progress):
        if way == "fails" and rank == 1 and len(counted) == 2:
            raise extraction.DataError("net: expected a graph that runs, found none")
        counted.append(len(block))
        yield block

extraction._computed = spied
settings = FeatureSettings(filters=8, mirror=True)
with group(torch.device("cpu")) as processes:
    data = load_data("digits")
    load_features(data, "patches", settings, progress=lambda *seen: told.append(seen), group=processes)
    first = sum(counted)
    load_features(data, "patches", settings, group=processes)
    (out / f"{rank}.json").write_text(json.dumps([first, sum(counted) - first, told[-1:]]))
"""


def run(folder: Path, way: str) -> list[tuple[int, str]]:
    (folder / "script.py").write_text(SCRIPT)
    cache = {"LOCAL_WORLD_SIZE": "2", "KIT_CACHE_DIR": str(folder / "shared")}
    return in_two_processes(folder / "script.py", way, folder, **cache)


@pytest.mark.spawns
def test_two_processes_write_what_one_does(digits: Dataset, tmp_path: Path, cache: Path) -> None:
    done = run(tmp_path, "works")
    assert [status for status, _ in done] == [0, 0], done
    load_features(digits, "patches", FeatureSettings(filters=8, mirror=True))
    names = sorted(path.name for path in cache.glob("*.npy"))
    assert sorted(path.name for path in (tmp_path / "shared").iterdir()) == sorted(
        path.name for path in cache.iterdir() if path.suffix in (".npy", ".crc")
    )
    for name in names:
        assert (tmp_path / "shared" / name).read_bytes() == (cache / name).read_bytes()
    each = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert each[0][0] + each[1][0] == 2 * 1437 + 360
    assert min(each[0][0], each[1][0]) > 1400
    assert [again for _, again, _ in each] == [0, 0]
    assert each[0][2] == [[2 * 1437 + 360, 2 * 1437 + 360]]


@pytest.mark.slow
@pytest.mark.spawns
def test_where_one_fails_both_end_with_its_error(tmp_path: Path) -> None:
    done = run(tmp_path, "fails")
    assert [status for status, _ in done] == [1, 1]
    for _, error in done:
        assert "net: expected a graph that runs, found none" in error
    entries = [path.name for path in (tmp_path / "shared").iterdir()]
    assert not [name for name in entries if name.endswith(".npy") and "-" not in name]
    assert not [name for name in entries if name.endswith(".part")]
