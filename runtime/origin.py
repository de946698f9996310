"""Tells a library's own errors from those that interrupt it: of a signal handler, or of another thread."""

import sys


def raised_by(error: BaseException, package: str = "") -> bool:
    """Whether a library that is called from here raised an error itself.

    error: as it was caught.
    package: the library's; left out for the standard library.
    An error of the library's own class is its own. One of the standard library's classes is, where the last function
    that it passed through, other than the standard library's, is the library's or this package's: a signal handler's is
    not. Never a MemoryError, nor a TimeoutError without the system's number.
    """
    kind = type(error).__module__.partition(".")[0]
    if kind == package:
        return True
    timed_out = isinstance(error, TimeoutError) and error.errno is None
    if kind not in sys.stdlib_module_names or isinstance(error, MemoryError) or timed_out:
        return False
    last, trace = "", error.__traceback__
    while trace:
        name = str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0]
        last = last if name in sys.stdlib_module_names else name
        trace = trace.tb_next
    return last in (package, __name__.partition(".")[0])
