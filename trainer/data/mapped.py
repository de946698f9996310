"""Images in a file larger than memory: pages are read when they are needed, and released again."""

import mmap
import warnings
from collections.abc import Iterator
from typing import Any, TypeAlias

import torch
from numpy.typing import NDArray
from torch import Tensor

KEEP_BYTES = 2**27
REGION = 2**21  # what systems may map for one byte that is read
TAKE_BYTES = 2**22  # of images that are copied before pages are released, as each image may be in a region of its own


class MappedImages:
    """Images or features mapped from a file, all of them or some, that can be read like a tensor: [N, H, W, C].

    Whatever is read is a copy.

    pixels: the mapped array, [M, H, W, C] or [M, H, W]; uint8, or float32 for features.
    rows: int64 [N], which images; by default all.
    keep: bytes of the file that may be in this process before they are released; they may stay in the system's page
        cache.
    """

    device = torch.device("cpu")
    ndim = 4

    def __init__(self, pixels: NDArray[Any], rows: Tensor | None = None, *, keep: int = KEEP_BYTES) -> None:
        self._mapping = _mapping(pixels)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # it is only read
            self._pixels = torch.as_tensor(pixels)
        if self._pixels.ndim == 3:
            self._pixels = self._pixels[..., None]
        self.dtype = self._pixels.dtype
        self._array, self._rows = pixels, rows
        self._keep, self._taken = keep, 0

    def __len__(self) -> int:
        return len(self._pixels) if self._rows is None else len(self._rows)

    @property
    def shape(self) -> torch.Size:
        """N, height, width, channels."""
        return torch.Size((len(self), *self._pixels.shape[1:]))

    @property
    def nbytes(self) -> int:
        """What the images would take in memory."""
        return self.shape.numel() * self._pixels.itemsize

    def __getitem__(self, which: int | slice | Tensor) -> Tensor:
        """Copy one image [H, W, C], or several [n, H, W, C]: by a slice, their rows int64 [n], or a mask bool [N]."""
        if isinstance(which, slice):
            which = torch.arange(*which.indices(len(self)))
        elif isinstance(which, int):
            return self.take(torch.tensor([range(len(self))[which]]))[0]
        return self.take(which.nonzero()[:, 0] if which.dtype == torch.bool else which)

    def take(self, rows: Tensor, out: Tensor | None = None) -> Tensor:
        """Copy the images at `rows`, int64 [n], to `out` or to new memory: [n, H, W, C]."""
        rows = rows if self._rows is None else self._rows[rows]
        each = self._pixels[0].nbytes
        taken = torch.empty((len(rows), *self._pixels.shape[1:]), dtype=self.dtype) if out is None else out
        at_once = max(1, TAKE_BYTES // each)
        for some, place in zip(rows.split(at_once), taken.split(at_once), strict=True):
            torch.index_select(self._pixels, 0, some, out=place)
            self._taken += REGION * len((some * each // REGION).unique())
            if self._taken > self._keep:
                self._release()
        return taken

    def split(self, size: int) -> Iterator[Tensor]:
        """Copy `size` images at a time."""
        return (self[start : start + size] for start in range(0, len(self), size))

    def subset(self, rows: Tensor) -> "MappedImages":
        """Choose some of these images, int64 [n], without reading them."""
        return MappedImages(self._array, rows if self._rows is None else self._rows[rows], keep=self._keep)

    def keeping(self, keep: int) -> "MappedImages":
        """The same images, with no more than `keep` bytes of the file in this process."""
        return MappedImages(self._array, self._rows, keep=keep)

    def to(self, device: torch.device) -> Tensor:
        """Copy all images to a device, a few at a time."""
        images = torch.empty(self.shape, dtype=self.dtype, device=device)
        size, start = max(1, self._keep // self._pixels[0].nbytes), 0
        for block in self.split(size):
            images[start : start + len(block)] = block
            start += len(block)
        return images

    def numpy(self) -> NDArray[Any]:
        """Copy all images to memory."""
        array: NDArray[Any] = self.to(self.device).numpy()
        return array

    def _release(self) -> None:
        """Give the pages that were read back to the system."""
        self._taken = 0
        if hasattr(mmap, "MADV_DONTNEED"):
            self._mapping.madvise(mmap.MADV_DONTNEED)


Images: TypeAlias = Tensor | MappedImages


def take(images: Images, rows: Tensor, out: Tensor) -> Tensor:
    """Copy the images at `rows`, int64 [n], to `out`, [n, H, W, C]."""
    if isinstance(images, MappedImages):
        return images.take(rows, out)
    return torch.index_select(images, 0, rows, out=out)


def _mapping(array: Any) -> mmap.mmap:
    """Find the mapping that an array is a view of."""
    while not isinstance(array, mmap.mmap):
        array = array.base
    return array
