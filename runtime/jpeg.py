"""JPEG files that lack nothing but their end marker, told from those whose pixels are cut off.

libjpeg fills pixels that are missing with grey and reports nothing through Pillow, so that putting an end marker to a
file does not tell whether it was whole.
"""

from __future__ import annotations

import io
import re

from .digest import digest, sha256

END = b"\xff\xd9"
WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}  # markers
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
SCAN = 0xDA
RESTART = re.compile(rb"\xff[\xd0-\xd7]")
NEXT_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]", re.DOTALL)
NOISE = [
    b"".join(sha256(bytes([tail, part])).digest() for part in range(4)).replace(b"\xff", b"\xfe") for tail in range(4)
]
PADDING = 16  # bytes


def with_end(data: bytes) -> bytes | None:
    """Put the end marker to a JPEG file that lacks nothing else; None where it lacks pixels, or is damaged.

    Whole pixels do not depend on what follows them. So the file is decoded with several continuations, and counts as
    whole if all give the same, and if it would not without its last bytes: else these are padding, not pixels.
    """
    body = data.removesuffix(END[:1])
    if not _is_whole(body) or _is_whole(body[:-PADDING]):
        return None
    return body + END


def _is_whole(body: bytes) -> bool:
    last_scan = _last_scan(body)
    if last_scan is None:
        return False
    restart = bytes([0xFF, 0xD0 + len(RESTART.findall(body, last_scan)) % 8])
    pixels = _pixels(body + END)
    others = (body + tail + END for tail in (*NOISE, *(restart + noise for noise in NOISE)))
    return pixels is not None and all(_pixels(other) == pixels for other in others)


def _last_scan(body: bytes) -> int | None:
    """Where the last scan's data begin, if the scans have every bit of every coefficient; else None."""
    left: set[tuple[int, int]] = set()
    scan = None
    at = 2
    try:
        while found := NEXT_MARKER.search(body, at):
            marker, at = body[found.end() - 1], found.end()
            if marker in WITHOUT_LENGTH:
                continue
            segment = body[at + 2 : at + int.from_bytes(body[at : at + 2])]
            at += len(segment) + 2
            if marker in FRAMES:
                left = {(segment[6 + 3 * place], k) for place in range(segment[5]) for k in range(64)}
            elif marker == SCAN:
                scan, count = at, segment[0]
                first, last, bits = segment[1 + 2 * count : 4 + 2 * count]
                if bits & 15 == 0:
                    left -= {(name, k) for name in segment[1 : 1 + 2 * count : 2] for k in range(first, last + 1)}
    except (IndexError, ValueError):  # of a segment that is cut off
        return None
    return None if left else scan


def _pixels(data: bytes) -> str | None:
    """Digest of a JPEG's pixels; None where they cannot be decoded."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            return digest(image.tobytes())
    except (OSError, SyntaxError, ValueError):
        return None
