"""Python's own sha256: hashlib loads OpenSSL's, which takes 4 MB of memory and 5 ms of a cold start."""

try:
    from _sha2 import sha256  # Python 3.12 and later
except ImportError:
    try:
        from _sha256 import sha256  # Python 3.11
    except ImportError:
        from hashlib import sha256

__all__ = ["digest", "sha256"]


def digest(data: bytes) -> str:
    """Compute a file's sha256, in the form that reports and artefacts show it."""
    return f"sha256:{sha256(data).hexdigest()}"
