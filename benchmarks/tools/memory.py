"""This process's memory; imports nothing, so that it can be asked in a process whose start is timed."""


def memory(field: str) -> int:
    """Bytes of this process's memory, by the kernel's name; VmHWM is the peak of what is resident. Linux alone.

    Not from getrusage, whose ru_maxrss starts at the peak of the process that started this one.
    """
    with open("/proc/self/status") as lines:  # noqa: PTH123 - importing pathlib takes time and memory
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))
