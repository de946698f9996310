"""What hostile input must never bring about, noticed by Python's audit hook: files elsewhere, a network, a process."""

import os
import sys
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGED = {  # by event, which of its arguments are paths that change; the last one is the folder that they start at
    "os.chmod": (0,), "os.chown": (0,), "os.link": (1,), "os.mkdir": (0,), "os.remove": (0,), "os.rename": (0, 1),
    "os.rmdir": (0,), "os.symlink": (1,),
}  # fmt: skip
FORBIDDEN = {
    "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.startfile", "os.system", "pickle.find_class", "pty.spawn",
    "socket.bind", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "subprocess.Popen",
    "urllib.Request", "webbrowser.open",
}  # fmt: skip
OF_POOLS = (
    "builtins.bytearray",
    "concurrent.futures.process.",
    "pyarrow.lib.",
    "runtime.scoring.scorer.",
)  # their results


class Guard:
    """From now on, refuses and notes every file changed outside of `folder`, and what is in FORBIDDEN.

    It is for good: Python has no way to take an audit hook away. processes: whether other processes may be started, and
    hand over their results.
    """

    def __init__(self, folder: Path, *, processes: bool = False) -> None:
        self.noted: list[str] = []
        self._folder = folder.resolve()
        self._processes = processes
        self._forbidden = FORBIDDEN - {"os.fork", "os.posix_spawn", "subprocess.Popen"} if processes else FORBIDDEN
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "pickle.find_class" and self._processes and ".".join(arguments).startswith(OF_POOLS):
            return
        if event == "open":
            path, _, flags = arguments
            arguments = (path, -1)
            changed = [path] if isinstance(flags, int) and flags & WRITING else []
        else:
            changed = [arguments[place] for place in CHANGED.get(event, ())]
        if event in self._forbidden or not all(self._inside(path, arguments[-1]) for path in changed):
            self.noted.append(f"{event} {arguments}")
            raise OSError(f"not allowed here: {self.noted[-1]}")

    def _inside(self, path: Any, base: int) -> bool:
        if isinstance(path, int) or os.fsdecode(path) == os.devnull:
            return True
        there = Path(f"/proc/self/fd/{base}" if base > 2 else ".", os.fsdecode(path)).absolute()
        return (there.parent.resolve() / there.name).is_relative_to(self._folder)
