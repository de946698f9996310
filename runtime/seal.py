"""The seal of a file for onnxruntime or LiteRT, a digest of all its content; and the format that such a file has."""

from __future__ import annotations

import re

from .digest import digest, sha256
from .errors import ArtefactError

SEAL_START = b"kit-seal-sha256:"
EMPTY_SEAL = SEAL_START + b"0" * 64
FIRST_FORMAT = re.compile(rb'kit\.version\x12\x05"1\.0"|\x05\0\0\0"1\.0"\0')  # 1.0 as protobuf and flatbuffers write it
ORT_IDENTIFIER = b"ORTM"
LITERT, LITERT_IDENTIFIER = "litert", b"TFL3"
INT8_WEIGHTS = b"\x0c\0\0\0int8_weights\0"  # as the name of a tensor
INTEGER_PRODUCT = b'"\rMatMulInteger'  # as the operator of a node


def seal(data: bytes) -> bytes:
    """Write a file's digest into the empty seal that `Metadata.to_props` gave it.

    data: the whole file, with one empty seal; its sha256 replaces the seal's 64 zeros. Raises ArtefactError where there
    is another number of seals, as when a label looks like one.
    """
    if data.count(SEAL_START) != 1:
        raise ArtefactError(
            f"expected one place for a seal, found {data.count(SEAL_START)}: choose labels without that text"
        )
    return data.replace(EMPTY_SEAL, SEAL_START + sha256(data).hexdigest().encode())


def check_seal(data: bytes) -> str:
    """Compare a file with its seal, which format 1.0 does not have, and return the digest of the whole file.

    Raises ArtefactError where they differ.
    """
    found = re.findall(re.escape(SEAL_START) + rb"([0-9a-f]{64})", data)
    if not found and FIRST_FORMAT.search(data):
        return digest(data)
    if len(found) != 1:
        raise ArtefactError(
            f"expected an artefact made by `kit export`, with a seal, found {len(found)} seals in it: export it again"
        )
    expected = sha256(data.replace(SEAL_START + found[0], EMPTY_SEAL)).hexdigest()
    if expected.encode() != found[0]:
        raise ArtefactError(
            f"expected the content that the file was sealed with, {found[0][:12].decode()}…, found {expected[:12]}…: "
            "it was damaged on its way, copy it again"
        )
    return digest(data)


def format_of(data: bytes) -> str:
    """Name the format of a file that `check_seal` passes, as `kit export` does: of ONNX, ort, or of LiteRT."""
    if data[4:8] == LITERT_IDENTIFIER:
        return f"{LITERT}-int8" if INT8_WEIGHTS in data else LITERT
    if data[4:8] == ORT_IDENTIFIER:
        return "ort"
    return "onnx-int8" if INTEGER_PRODUCT in data else "onnx"
