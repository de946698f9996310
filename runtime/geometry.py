"""Which part of an image is used, and how large it becomes, in integers. docs/artefact.md has the rules."""


def crop_box(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the largest centred part with the aspect ratio of `target`.

    size, target: width and height. The shorter side is rounded, a half up, to at least 1.
    """
    (width, height), (to_width, to_height) = size, target
    if width * to_height > height * to_width:
        kept = max(1, _ratio(height * to_width, to_height)), height
    else:
        kept = width, max(1, _ratio(width * to_height, to_width))
    left, top = (width - kept[0]) // 2, (height - kept[1]) // 2
    return left, top, left + kept[0], top + kept[1]


def size_inside(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int]:
    """Return the largest width and height with the aspect ratio of `size` that fit inside `target`, rounded alike."""
    (width, height), (to_width, to_height) = size, target
    if width * to_height > height * to_width:
        return to_width, max(1, _ratio(height * to_width, width))
    return max(1, _ratio(width * to_height, height)), to_height


def is_elongated(size: tuple[int, int], target: tuple[int, int]) -> bool:
    """Whether the aspect ratio of `size` is that of `target` times 1.5 or more, or divided by it."""
    (width, height), (to_width, to_height) = size, target
    sides = width * to_height, height * to_width
    return 2 * max(sides) >= 3 * min(sides)


def is_tiny(size: tuple[int, int], target: tuple[int, int]) -> bool:
    """Whether `size` is less than half of the model's on both sides, so that most of what the model sees is made up."""
    return 2 * size[0] < target[0] and 2 * size[1] < target[1]


def _ratio(dividend: int, divisor: int) -> int:
    """Divide, and round to the nearest integer, a half up."""
    return (2 * dividend + divisor) // (2 * divisor)
