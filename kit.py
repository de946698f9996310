"""The command line: a table of commands, each loaded only when it is called."""

import sys
from importlib import import_module
from typing import Any

import click

COMMANDS = {
    "train": ("trainer.cli:train", "Fit softmax regression to images."),
    "export": ("export.cli:export", "Export a checkpoint to artefacts, each checked before it is saved."),
    "classify": ("runtime.commands.classify:classify", "Classify images with an artefact; needs no torch."),
    "evaluate": ("export.evaluation:evaluate", "Evaluate an artefact on a test set."),
    "inspect": ("runtime.commands.inspect:inspect", "Describe what is in an artefact."),
    "selftest": ("runtime.commands.selftest:selftest", "Run an artefact's golden examples on this device."),
    "bench": ("runtime.commands.bench:bench", "Measure the speed and memory of artefacts on this device."),
}


class Commands(click.Group):
    """The commands of the table above; their errors become one line and exit status 1."""

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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, purpose) for name, (_, purpose) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error that a user can cause ends in one line, any other is a bug and shows itself."""
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            from runtime.text import printable

            vars(error).update(message=printable(error.message))
            raise
        except Exception as error:
            from runtime.errors import KitError

            if not isinstance(error, KitError):
                raise
            from runtime.text import complain

            complain(error)
            sys.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="softmax-kit", prog_name="kit")
def main() -> None:
    """Train a small image classifier, export it to one self-contained file, run it without torch."""


if __name__ == "__main__":
    main()
