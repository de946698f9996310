"""The cache of decoded images: what it holds, when it is used, how it fails; how many images may be unreadable."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from runtime.data import decode
from runtime.data.source import Files
from runtime.errors import DataError
from runtime.image import ImageContract
from tests.interpreter import UNMEASURED, run_python
from trainer.data.cache import CachedImages, cached_images, default_cache_dir

CONTRACT = ImageContract(height=8, width=8, color="RGB")
EMPTY = "expected an image file (PNG, JPEG, …), found nothing (0 bytes)"


def noise(seed: int, shape: tuple[int, ...] = (6, 7, 3)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


def write(root: Path, count: int) -> list[str]:
    """Write images, each of another size, and return their names."""
    root.mkdir()
    names = [f"{number:03}.bmp" for number in range(count)]
    for number, name in enumerate(names):
        noise(number, (3 + number % 7, 4 + number % 5, 3)).save(root / name)
    return names


def listed(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def pixels(root: Path, names: Sequence[str], contract: ImageContract = CONTRACT) -> NDArray[np.uint8]:
    return np.stack([contract.pixels(root / name) for name in names])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of 12 images."""
    write(tmp_path / "images", 12)
    return tmp_path / "images"


@pytest.fixture
def run(root: Path, cache: Path) -> Callable[[], CachedImages]:
    """Read whatever is in the folder."""

    def read() -> CachedImages:
        return cached_images(Files(root, listed(root)), CONTRACT, cache_dir=cache)

    return read


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "decode", lambda *_: pytest.fail("decoded"))


def test_images_come_in_the_order_of_the_names(root: Path, cache: Path) -> None:
    calls: list[tuple[int, int]] = []
    names = listed(root)[::-1]
    found = cached_images(Files(root, names), CONTRACT, cache_dir=cache, progress=lambda *call: calls.append(call))
    np.testing.assert_array_equal(found.images, pixels(root, names))
    assert found.unreadable == {}
    assert calls == [(12, 12)]


@pytest.mark.spawns
def test_many_files(tmp_path: Path, cache: Path) -> None:
    names = write(tmp_path / "images", 230)
    (tmp_path / "images" / names[70]).write_bytes(b"")
    calls: list[tuple[int, int]] = []
    files = Files(tmp_path / "images", names)
    found = cached_images(files, CONTRACT, cache_dir=cache, progress=lambda *call: calls.append(call))
    np.testing.assert_array_equal(found.images, pixels(tmp_path / "images", names[:70] + names[71:]))
    assert found.unreadable == {names[70]: EMPTY}
    assert calls == [(done, 230) for done in (32, 64, 96, 128, 160, 192, 224, 230)]


def test_the_second_run_decodes_nothing(run: Callable[[], CachedImages], monkeypatch: pytest.MonkeyPatch) -> None:
    first = run()
    forbid_decoding(monkeypatch)
    np.testing.assert_array_equal(run().images, first.images)


def test_images_are_mapped_from_one_npy_file(run: Callable[[], CachedImages], cache: Path) -> None:
    for _ in range(2):
        found = run()
        assert isinstance(found.images, np.memmap)
        assert not found.images.flags.writeable
    assert sorted(path.suffix for path in cache.iterdir()) == [".json", ".npy"]
    np.testing.assert_array_equal(np.load(next(cache.glob("*.npy"))), found.images)


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "KIT_CACHE_DIR"):
        monkeypatch.setenv(name, f"/{name}")
    assert default_cache_dir() == Path("/KIT_CACHE_DIR")
    monkeypatch.delenv("KIT_CACHE_DIR")
    assert default_cache_dir() == Path("/XDG_CACHE_HOME/softmax-kit")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache_dir() == Path("/HOME/.cache/softmax-kit")


def test_no_home_for_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    for name in ("XDG_CACHE_HOME", "KIT_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    message = "expected a home folder to keep decoded images in, found none: set KIT_CACHE_DIR to a folder"
    with pytest.raises(DataError, match=message):
        default_cache_dir()


def test_each_contract_has_its_entry(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes: list[dict[str, Any]] = [{}, {"height": 9}, {"width": 7}, {"color": "L"}]
    contracts = [ImageContract(**{"height": 8, "width": 8, "color": "RGB", **change}) for change in changes]
    for _ in range(2):
        for contract in contracts:
            images = cached_images(Files(root, ["000.bmp"]), contract, cache_dir=cache).images
            np.testing.assert_array_equal(images, pixels(root, ["000.bmp"], contract))
        forbid_decoding(monkeypatch)


def test_another_pillow_has_its_entry(run: Callable[[], CachedImages], monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    monkeypatch.setattr("trainer.data.cache.version", lambda name: f"another {name}")
    forbid_decoding(monkeypatch)
    with pytest.raises(pytest.fail.Exception, match="decoded"):
        run()


@pytest.mark.spawns
def test_without_pillow(root: Path, cache: Path) -> None:
    code = """
from pathlib import Path
from runtime import MissingExtraError
from runtime.image import ImageContract
from runtime.data.source import Files
from trainer.data.cache import cached_images
try:
    cached_images(Files(Path(sys.argv[1]), ["000.bmp"]), ImageContract(height=8, width=8), cache_dir=Path(sys.argv[2]))
except MissingExtraError as error:
    print(error)
"""
    result = run_python(code, root, cache, without=["PIL"])
    assert "pip install 'softmax-kit[" in result.stdout, result.stderr


def resize(path: Path) -> None:
    """Change the file's size, not its time."""
    status = path.stat()
    noise(99, (9, 9, 3)).save(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def touch(path: Path) -> None:
    """Change the file's time, by as little as can be, not its size."""
    status = path.stat()
    path.write_bytes(path.read_bytes()[:-12] + bytes(range(12)))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


@pytest.mark.parametrize(
    "change", [resize, touch, lambda path: path.unlink(), lambda path: path.rename(path.with_name("z.bmp"))]
)
def test_a_changed_file_is_decoded_anew(
    root: Path, run: Callable[[], CachedImages], change: Callable[[Path], object]
) -> None:
    run()
    change(root / "000.bmp")
    np.testing.assert_array_equal(run().images, pixels(root, listed(root)))


def test_a_new_permission_and_a_new_place_are_decoded_anew(
    root: Path, run: Callable[[], CachedImages], cache: Path
) -> None:
    run()
    (root / "000.bmp").chmod(0o600)
    run()
    moved = root.rename(root.with_name("moved"))
    cached_images(Files(moved, listed(moved)), CONTRACT, cache_dir=cache)
    assert len(list(cache.glob("*.npy"))) == 3


@pytest.mark.parametrize("suffix", [".npy", ".json"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda data: data[:40],
        lambda data: data[:-1],
        lambda data: data[:-12] + bytes([data[-12] ^ 1]) + data[-11:],
        lambda data: data[:9] + b"\xff" * 99,
        lambda data: b"PK\3\4" + data,
        lambda _: b"[]",
        lambda _: b'{"unreadable": 3, "crc32": 4}',
        None,
    ],
)
def test_a_damaged_cache_is_mended_silently(
    run: Callable[[], CachedImages],
    cache: Path,
    suffix: str,
    damage: Callable[[bytes], bytes] | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = run().images.copy()
    path = next(cache.glob(f"*{suffix}"))
    whole = path.read_bytes()
    path.unlink()
    if damage:
        path.write_bytes(damage(whole))
    np.testing.assert_array_equal(run().images, first)
    assert path.read_bytes() == whole
    assert capsys.readouterr() == ("", "")


def test_a_cache_folder_that_cannot_be_made(run: Callable[[], CachedImages], cache: Path) -> None:
    cache.write_text("a file")
    remedy = "free some space or choose another folder, by setting KIT_CACHE_DIR"
    with pytest.raises(DataError, match=rf"^{cache}/\w+\.npy: expected a place to write to, found: [\w ]+: {remedy}$"):
        run()


@pytest.mark.spawns
def test_a_full_disk(root: Path, cache: Path) -> None:
    """A limit on the size of a file stands in for it: writing fails in the same way."""
    code = """
import resource, signal
from pathlib import Path
from runtime.image import ImageContract
from runtime.data.source import Files
from trainer.data.cache import cached_images
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
contract = ImageContract(height=64, width=64)
cached_images(Files(Path(sys.argv[1]), ["000.bmp"]), contract, cache_dir=Path(sys.argv[2]))
"""
    error = run_python(code, root, cache, environment=UNMEASURED).stderr.splitlines()[-1]
    assert re.search(rf"DataError: {cache}/\w+\.npy: expected .*, found: File too large: .* KIT_CACHE_DIR$", error)
    assert list(cache.iterdir()) == []


def test_an_interrupted_run_leaves_nothing(root: Path, cache: Path) -> None:
    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_images(Files(root, ["000.bmp"]), CONTRACT, cache_dir=cache, progress=interrupt)
    assert list(cache.iterdir()) == []


def test_one_in_a_hundred_may_be_unreadable(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, names = tmp_path / "images", write(tmp_path / "images", 100)
    (root / names[40]).write_bytes(b"")
    found = cached_images(Files(root, names), CONTRACT, cache_dir=cache)
    note = next(cache.glob("*.json"))
    note.write_text(note.read_text().replace(names[40], names[41]))
    mended = cached_images(Files(root, names), CONTRACT, cache_dir=cache)
    forbid_decoding(monkeypatch)
    for each in (found, mended, cached_images(Files(root, names), CONTRACT, cache_dir=cache)):
        assert each.unreadable == {names[40]: EMPTY}
        np.testing.assert_array_equal(each.images, pixels(root, names[:40] + names[41:]))


def test_a_file_that_is_gone(tmp_path: Path, cache: Path) -> None:
    names = write(tmp_path / "images", 100)
    (tmp_path / "images" / names[0]).unlink()
    assert list(cached_images(Files(tmp_path / "images", names), CONTRACT, cache_dir=cache).unreadable) == names[:1]


@pytest.mark.parametrize(("count", "bad"), [(99, 1), (100, 2), (3, 3)])
def test_more_than_one_in_a_hundred_are_an_error(tmp_path: Path, cache: Path, count: int, bad: int) -> None:
    names = write(tmp_path / "images", count)
    for name in names[-bad:]:
        (tmp_path / "images" / name).write_bytes(b"")
    message = (
        f"{tmp_path}/images: expected at most 1% of the images to be unreadable, found {bad} of {count}, "
        f"the first of them {names[-bad]} ({EMPTY}): replace or remove them, or allow more with "
        "--max-unreadable of kit train and kit evaluate"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        cached_images(Files(tmp_path / "images", names), CONTRACT, cache_dir=cache)
    assert list(cache.iterdir()) == []


@pytest.mark.spawns
def test_a_process_that_may_not_map_the_cache(root: Path, cache: Path) -> None:
    """Of 100 MB, with addresses for 95 more; the second time it is in the cache."""
    code = """
import resource
from pathlib import Path
import psutil
import torch
from PIL import Image
from runtime.image import ImageContract
from runtime.data.source import Files
from trainer.data.cache import cached_images
most = psutil.Process().memory_info().vms + 95 * 10**6
resource.setrlimit(resource.RLIMIT_AS, (most, most))
names = [f"{number:03}.bmp" for number in range(12)]
cached_images(Files(Path(sys.argv[1]), names), ImageContract(height=2000, width=1400, color="RGB"),
              cache_dir=Path(sys.argv[2]))
"""
    for _ in ("decoded", "cached"):
        last = run_python(code, root, cache).stderr.splitlines()[-1]
        assert "expected to map 100,800,128 bytes, found: Cannot allocate memory: raise `ulimit -v`" in last
