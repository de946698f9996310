"""The command line: a table of commands, each loaded only when it is called."""

import os
import sys

INTERRUPTED = 130


def end_interrupted() -> None:
    """End this process at once, with the line and the exit status of Ctrl-C."""
    try:
        os.write(2, b"kit: interrupted\n")
    finally:
        os._exit(INTERRUPTED)


try:
    import atexit
    import errno
    import signal
    import threading
    from collections.abc import Iterator
    from contextlib import contextmanager, suppress
    from importlib import import_module
    from types import FrameType
    from typing import TYPE_CHECKING, Any

    import click

    if TYPE_CHECKING:
        from click.shell_completion import CompletionItem
except KeyboardInterrupt:
    end_interrupted()

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)  # why a write fails
COMMANDS = {
    "train": ("trainer.cli:train", "Fit softmax regression to images."),
    "audit": ("trainer.audit_cli:audit", "Look for mistakes in a data set."),
    "calibrate": ("trainer.calibrate_cli:calibrate", "Find probabilities and thresholds of a run on held-out images."),
    "runs": ("trainer.runs_cli:runs", "List runs with their figures."),
    "compare": ("trainer.runs_cli:compare", "Compare two runs on the same test images."),
    "export": ("export.cli:export", "Export a checkpoint to artefacts, each checked before it is saved."),
    "classify": ("runtime.commands.classify:classify", "Classify images with an artefact; needs no torch."),
    "evaluate": ("runtime.commands.evaluate:evaluate", "Evaluate an artefact on a test set; needs no torch."),
    "inspect": ("runtime.commands.inspect:inspect", "Describe what is in an artefact."),
    "selftest": ("runtime.commands.selftest:selftest", "Run an artefact's golden examples on this device."),
    "bench": ("runtime.commands.bench:bench", "Measure the speed and memory of artefacts on this device."),
    "completion": (
        "runtime.commands.completion:completion",
        "Print a script that completes commands in a shell.",
    ),
}
SLOW_TO_LOAD = {"train": "torch and the images"}  # what is loaded in silence otherwise, for seconds


class Commands(click.Group):
    """The commands of the table above; their errors become one line and exit status 1, Ctrl-C one line and 130."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find a command; one that takes long to load says so at once, one that there is not what it may have been."""
        name, *rest = args
        if not ctx.resilient_parsing and name not in COMMANDS and not name.startswith("-"):
            raise click.UsageError(f"No such command {name!r}.{did_you_mean(name)}", ctx)
        asks = any(text in ("-h", "--help") for text in rest)
        if name in SLOW_TO_LOAD and not (asks or ctx.resilient_parsing) and os.environ.get("RANK", "0") == "0":
            with suppress(OSError):
                click.echo(f"kit {name}: loading {SLOW_TO_LOAD[name]}", err=True)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Complete the name of a command without importing any."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, purpose) for name, (_, purpose) in COMMANDS.items()])

    def main(self, *arguments: Any, **settings: Any) -> Any:
        """Run the command line in this process."""
        if getattr(sys, "frozen", False):  # worker processes then start this program too
            import multiprocessing

            multiprocessing.freeze_support()
        with interruptible(), printing():
            return super().main(*arguments, **settings)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse empty arguments, which variables that are not set leave."""
        for before, text in zip(["", *args], args, strict=False):
            option, equals, value = text.partition("=")
            if not text or (option.startswith("--") and equals and not value):
                raise click.UsageError(f"expected a value for {option or before!r}, found an empty one", ctx)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error that a user can cause ends in one line, any other is a bug and shows itself."""
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            from runtime.text import printable

            vars(error).update(message=printable(error.message))
            raise
        except (Exception, KeyboardInterrupt) as error:
            if comes_of(error, KeyboardInterrupt):
                click.echo("kit: interrupted", err=True)
                sys.exit(INTERRUPTED)
            from runtime.errors import KitError

            if not isinstance(error, KitError):
                raise
            from runtime.text import complain

            complain(error)
            sys.exit(1)


def did_you_mean(name: str) -> str:
    """Name the command that is most like a name, if one is."""
    from difflib import get_close_matches

    close = get_close_matches(name, COMMANDS, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def comes_of(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Whether an exception of that kind led to this one, as where a library's initialization was interrupted."""
    while error and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error is not None


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C interrupt a command, or end the process where none runs yet; once all is done it is ignored."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # ignored, or another's
        yield
        return
    others = sys.unraisablehook

    def lost(found: "sys.UnraisableHookArgs") -> None:
        """Hear Ctrl-C where Python can raise nothing, as in a weak reference's callback during an import."""
        end_interrupted() if issubclass(found.exc_type, KeyboardInterrupt) else others(found)

    signal.signal(signal.SIGINT, interrupt)
    sys.unraisablehook = lost
    try:
        yield
    finally:
        sys.unraisablehook = others
        sys.meta_path = [finder for finder in sys.meta_path if not isinstance(finder, NoImports)]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)


def interrupt(_signal: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt in a command, which clears up; where none runs yet, end the process."""
    importing = False
    while frame:
        importing |= frame.f_code.co_filename.startswith("<frozen importlib")
        if frame.f_code is click.Command.invoke.__code__:
            if importing:
                sys.meta_path = [NoImports(), *sys.meta_path]
            raise KeyboardInterrupt
        frame = frame.f_back
    end_interrupted()


class NoImports:
    """Raises KeyboardInterrupt at every later import, since a library's own may have caught the first one."""

    def find_spec(self, *_: object) -> None:
        """Look for a module, in the main thread."""
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt


@contextmanager
def printing() -> Iterator[None]:
    """Refuse a closed standard output, end in one line where it is full, and stand in for the other closed streams."""
    if sys.stdin is None:
        sys.stdin = click.open_file(os.devnull)
    if sys.stdout is None:  # the next file that is opened would have its number, and what libraries print
        click.echo("kit: expected standard output to print to, found it closed: redirect it to /dev/null", err=True)
        sys.exit(1)
    if sys.stderr is None:
        sys.stderr = click.open_file(os.devnull, "w")
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        with suppress(OSError):
            click.echo(f"kit: expected room for what is printed, found: {error.strerror}: print elsewhere", err=True)
        sys.exit(1)
    finally:
        for name in ("stdout", "stderr"):
            try:
                getattr(sys, name).flush()
            except OSError:  # Python would try again at the end, and complain
                setattr(sys, name, click.open_file(os.devnull, "w"))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="softmax-kit", prog_name="kit")
def main() -> None:
    """Train a small image classifier, export it to one self-contained file, run it without torch."""


if __name__ == "__main__":
    main()
