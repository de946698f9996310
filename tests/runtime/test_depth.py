"""Pixels of 16 bits: each file's values, shifted, whatever way they are stored in."""

import io
import re
import struct
from itertools import product

import numpy as np
import pytest
from PIL import Image

from runtime import InputError
from runtime.decoding import decode
from runtime.image import ImageContract
from runtime.remarks import Remarks

from .deep import Deep, deep, png, ppm, tiff


def pixels(data: bytes, color: str, shift: int) -> tuple[Deep, int | None]:
    remarks = Remarks()
    contract = ImageContract(height=19, width=23, color=color, shift=shift)
    return contract.pixels(data, remarks), remarks.largest


def files(values: Deep) -> dict[str, bytes]:
    """Every way to store values: uint16 [19, 23, C]."""
    channels = values.shape[2]
    found = {f"PNG {kind}": png(values, interlaced=kind) for kind in (False, True)}
    if channels in (1, 3):
        found |= {f"PPM {plain}": ppm(values, plain=plain) for plain in (False, True)}
    if channels != 2:
        for order, tile, packed in product("<>", (0, 16), (False, True)):
            found[f"TIFF {order} {tile} {packed}"] = tiff(values, order=order, tile=tile, packed=packed)
    if channels > 2:
        found |= {f"planes {order} {tile}": tiff(values, order=order, tile=tile, planes=True)
                  for order, tile in product("<>", (0, 16))}  # fmt: skip
    return found


@pytest.mark.parametrize("most", [255, 4095, 65535])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_file_gives_its_values(channels: int, most: int) -> None:
    values, color = deep(channels, most), "L" if channels < 3 else "RGB"
    count = 1 if channels < 3 else 3
    for (name, data), shift in product(files(values).items(), (0, 3, 8)):
        found, largest = pixels(data, color, shift)
        assert largest == values[:, :, :count].max(), name
        np.testing.assert_array_equal(found, np.minimum(values[:, :, :count] >> shift, 255), name)


@pytest.mark.parametrize("most", [256, 1000, 4095, 65534])
@pytest.mark.parametrize("plain", [False, True])
def test_ppm_of_other_ranges_is_scaled_as_pillow_scales_pgm(most: int, plain: bool) -> None:
    grey = deep(1, most)
    for shift in (0, 4, 8):
        expected, largest = pixels(ppm(grey, most=most, plain=plain), "L", shift)
        found, other = pixels(ppm(grey.repeat(3, 2), most=most, plain=plain), "RGB", shift)
        np.testing.assert_array_equal(found, expected.repeat(3, 2))
        assert largest == other == 65535


def test_values_above_a_ppm_files_range_are_white() -> None:
    data = ppm(np.full((19, 23, 3), 65535, np.uint16), most=300)
    assert (pixels(data, "RGB", 8)[0] == 255).all()


def test_comments_in_a_plain_ppm_file() -> None:
    contract = ImageContract(height=1, width=2, color="RGB")
    found = contract.pixels(b"P3\n2 1\n65535\n1 2 3 # 9 9\n256 512 1024", Remarks())
    assert found.ravel().tolist() == [0, 0, 0, 1, 2, 4]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (ppm(deep(3))[:-1], "expected a whole image, found 1,310 of 1,311 values"),
        (b"P3 1 1 65535 1 2", "expected a whole image, found 2 of 3 values"),
        (b"P3 1 1 65535 1 x 2", "expected numbers in a plain PPM file, found others: save the image as PNG first"),
    ],
)
def test_damaged_ppm(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=f"^these bytes: {re.escape(message)}$"):
        pixels(data, "RGB", 8)


def deepened(stated: int) -> bytes:
    """A JPEG 2000 file that states another number of bits, which is one more than this, than it was written with."""
    file = io.BytesIO()
    Image.fromarray((deep(3) >> 8).astype(np.uint8)).save(file, "JPEG2000")
    wide = bytearray(file.getvalue())
    at = wide.index(b"\xff\x4f\xff\x51") + 42
    wide[at : at + 9 : 3] = bytes([stated] * 3)
    return bytes(wide)


def unpacked(values: Deep) -> list[tuple[str, bytes]]:
    """Files of whose colours Pillow can read the upper bytes alone."""
    alpha = np.concatenate([values, np.full_like(values[:, :, :1], 65535)], 2)
    return [
        ("TIFF", tiff(values, planes=True, packed=True)),
        ("TIFF", tiff(alpha, extra=1)),
        ("JPEG2000", deepened(15)),
    ]


@pytest.mark.parametrize("kind", range(3))
def test_colours_whose_lower_bytes_cannot_be_read(kind: int) -> None:
    """They are read at a shift of 8 alone, and the values that they may have are known, so that no other is chosen."""
    name, data = unpacked(deep(3))[kind]
    found, largest = pixels(data, "RGB", 8)
    assert largest == int(found.max()) << 8 | 255
    message = f"expected 16-bit pixels that can be shifted by 7, found {name} whose lower 8 bits cannot be read here"
    with pytest.raises(InputError, match=f"^these bytes: {message}: save the image as PNG first$"):
        pixels(data, "RGB", 7)


@pytest.mark.parametrize("shift", [0, 8])
@pytest.mark.parametrize("kind", ["JPEG2000", "PNG", "TIFF", "BMP", "PPM"])
def test_eight_bits_are_not_shifted(kind: str, shift: int) -> None:
    image, file = Image.fromarray((deep(3) >> 8).astype(np.uint8)), io.BytesIO()
    image.save(file, kind)
    found, largest = pixels(file.getvalue(), "RGB", shift)
    np.testing.assert_array_equal(found, np.asarray(image))
    assert largest is None


@pytest.mark.parametrize("shift", [0, 8])
def test_sixteen_bits_a_pixel_are_no_depth(shift: int) -> None:
    """BMP has colours of 5, 6 and 5 bits, which Pillow calls BGR;16."""
    header = struct.pack("<8xI IiiHHIIIIII", 66, 40, 2, 1, 1, 16, 3, 4, 0, 0, 0, 0)
    data = b"BM" + header + struct.pack("<IIIHH", 0xF800, 0x7E0, 0x1F, 0xF800, 0x7E0)
    remarks = Remarks()
    found = ImageContract(height=1, width=2, color="RGB", shift=shift).pixels(data, remarks)
    assert found.ravel().tolist() == [255, 0, 0, 0, 255, 0]
    assert remarks.largest is None


@pytest.mark.parametrize("shift", [3, 8])
def test_sixteen_bits_are_turned_as_exif_says(shift: int) -> None:
    values = deep(3)
    turned = np.minimum(np.rot90(values, -1) >> shift, 255)
    np.testing.assert_array_equal(np.asarray(decode(png(values, orientation=6), shift=shift)), turned)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [np.int16, np.int32])
def test_signed_integers(kind: type, order: str) -> None:
    values: Deep = deep(1, 2000).astype(kind)
    found, largest = pixels(tiff(values, order=order), "L", 3)
    np.testing.assert_array_equal(found, values >> 3)
    assert largest == 2000
    with pytest.raises(InputError, match=r"expected pixels of 0-65,535, found -2,000 to "):
        pixels(tiff(-values, order=order), "L", 3)


def test_alpha_of_sixteen_bits_keeps_its_upper_byte() -> None:
    values = np.zeros((19, 23, 4), np.uint16)
    values[:, :, 3] = 0x80FF
    assert set(pixels(png(values), "RGB", 0)[0].ravel().tolist()) == {127}


def test_pillow_images_of_sixteen_bit_colours() -> None:
    """Pillow drops the lower byte, which is no loss where the shift is 8; nothing tells of an image that is loaded."""
    data = png(deep(3))
    expected = pixels(data, "RGB", 8)[0]
    image = Image.open(io.BytesIO(data))
    with pytest.raises(InputError, match="expected 16-bit colours in a file, found a Pillow image, which has 8 bits"):
        ImageContract(height=19, width=23, color="RGB", shift=4).pixels(image)
    np.testing.assert_array_equal(ImageContract(height=19, width=23, color="RGB").pixels(image), expected)


def test_pillow_images_of_sixteen_bit_greyscale() -> None:
    data = png(deep(1, 4095))
    expected = pixels(data, "L", 4)[0]
    image = Image.open(io.BytesIO(data))
    np.testing.assert_array_equal(ImageContract(height=19, width=23, shift=4).pixels(image, Remarks()), expected)


def test_a_depth_that_a_file_states_is_no_range_to_find() -> None:
    """JPEG 2000 of 12 bits is scaled by Pillow, as HEIC is by its decoder, whatever the shift."""
    twelve = deepened(11)
    (found, largest), other = pixels(twelve, "RGB", 0), pixels(twelve, "RGB", 8)
    np.testing.assert_array_equal(found, other[0])
    assert largest is other[1] is None
