"""The seal finds any damage; formats of sealed files are told apart."""

import hashlib

import pytest

from runtime import ArtefactError
from runtime.seal import check_seal, format_of, seal

PLACE = b"kit-seal-sha256:" + 64 * b"0"


def test_a_seal_is_the_digest_of_the_file_before() -> None:
    data = b"a head, " + PLACE + b", a tail"
    digest = hashlib.sha256(data).hexdigest().encode()
    sealed = seal(data)
    assert sealed == b"a head, kit-seal-sha256:" + digest + b", a tail"
    assert check_seal(sealed) == f"sha256:{hashlib.sha256(sealed).hexdigest()}"


@pytest.mark.parametrize("count", [0, 2])
def test_a_file_without_one_place_for_a_seal(count: int) -> None:
    message = f"expected one place for a seal, found {count}: choose labels without that text"
    with pytest.raises(ArtefactError, match=f"^{message}$"):
        seal(PLACE * count)
    message = f"expected an artefact made by `kit export`, with a seal, found {count} seals in it: export it again"
    with pytest.raises(ArtefactError, match=f"^{message}$"):
        check_seal(PLACE * count)


def test_a_file_that_was_damaged() -> None:
    data = b"content" + PLACE
    was, became = (hashlib.sha256(content + PLACE).hexdigest()[:12] for content in (b"content", b"contend"))
    message = (
        f"expected the content that the file was sealed with, {was}…, found {became}…: "
        "it was damaged on its way, copy it again"
    )
    with pytest.raises(ArtefactError, match=f"^{message}$"):
        check_seal(seal(data).replace(b"content", b"contend"))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\x18\0\0\0ORTM and more", "ort"),
        (b"ORTM\0\0\0\0", "onnx"),
        (b'an operator "\rMatMulInteger, in the graph', "onnx-int8"),
        (b"a label MatMulInteger", "onnx"),
    ],
)
def test_formats_are_told_apart(data: bytes, name: str) -> None:
    assert format_of(data) == name


@pytest.mark.parametrize(
    ("data", "accepted"),
    [
        (b'kit.version\x12\x05"1.0"', True),
        (b'\x05\0\0\0"1.0"\0kit.version', True),
        (b'kit.version\x12\x05"1.1"', False),
        (b'{"opset":"1.0"}', False),
    ],
)
def test_only_format_1_0_has_no_seal(data: bytes, accepted: bool) -> None:
    if accepted:
        assert check_seal(data) == f"sha256:{hashlib.sha256(data).hexdigest()}"
    else:
        with pytest.raises(ArtefactError, match="with a seal, found 0 seals in it"):
            check_seal(data)
