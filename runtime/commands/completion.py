"""`kit completion`: a script that lets a shell complete commands and options."""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script for SHELL, that completes commands, options and their values.

    bash, in ~/.bashrc: eval "$(kit completion bash)". zsh, in ~/.zshrc: eval "$(kit completion zsh)". fish: kit
    completion fish > ~/.config/fish/completions/kit.fish
    """
    kind = get_completion_class(shell)
    if kind is not None:
        click.echo(kind(context.find_root().command, {}, "kit", "_KIT_COMPLETE").source())
