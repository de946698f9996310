"""The options of `kit train` as a TOML file: read by `--config`, and written to each run's folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from runtime.files import check_regular, read_at_most, reason

from .errors import ConfigError

MAX_BYTES = 2**20
CONFIG = "config_file"
NOT_REPEATED = (CONFIG, "out", "resume", "as_document")  # where a run goes, and what is printed


def read_config(context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """Take the options in a file as defaults of the command. Raises click.BadParameter, which names the key."""
    if path is None:
        return None
    try:
        given = _read(path)
    except (ConfigError, OSError, ValueError, RecursionError) as error:
        message = f"{path}: expected options of kit train in TOML, found: {reason(error)}"
        raise click.BadParameter(message, context, option) from None
    known = {key_of(each): each for each in context.command.params if each.name != CONFIG}
    for key, value in given.items():
        if key not in known:
            from difflib import get_close_matches

            close = get_close_matches(key, known, n=1)
            advice = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(known)}"
            message = f"{path}: expected an option of kit train, found {key!r}: {advice}"
            raise click.BadParameter(message, context, option)
        try:
            _check(known[key], value)
            known[key].process_value(context, value)
        except click.BadParameter as error:
            raise click.BadParameter(f"{path}: {key}: {error.message}", context, option) from None
    context.default_map = {str(known[key].name): value for key, value in given.items()}
    return path


def key_of(option: click.Parameter) -> str:
    """Name an option as a file does, such as weight-decay."""
    return option.opts[0].removeprefix("--")


def repeating(context: click.Context) -> bytes:
    """Write the file that repeats a command: its options, but for those that come of the environment.

    A text that no UTF-8 has is left out, with a comment.
    """
    lines = ["# kit train --config train.toml repeats this run; paths are relative to the folder it is called in"]
    for option in context.command.params:
        name = str(option.name)
        value = context.params.get(name)
        if value is None or name in NOT_REPEATED or context.get_parameter_source(name) is ParameterSource.ENVIRONMENT:
            continue
        line = f"{key_of(option)} = {_as_toml(_as_given(option, value))}"
        try:
            line.encode()
        except UnicodeEncodeError:
            line = f"# {key_of(option)}: not UTF-8, give it on the command line"
        lines.append(line)
    return ("\n".join(lines) + "\n").encode()


def _read(path: Path) -> dict[str, Any]:
    import tomllib

    data = read_at_most(path, check_regular(path, "a TOML file", ConfigError), MAX_BYTES)
    if len(data) > MAX_BYTES:
        raise ConfigError(f"more than {MAX_BYTES >> 20} MB")
    return tomllib.loads(data.decode())


def _check(option: click.Parameter, value: Any) -> None:
    """Refuse a value of another type, which click would convert."""
    if option.multiple:
        expected, fits = "a list of strings", isinstance(value, list) and all(isinstance(one, str) for one in value)
    elif isinstance(option, click.Option) and option.is_flag:
        expected, fits = "true or false", isinstance(value, bool)
    elif isinstance(option.type, click.IntRange):
        expected, fits = "a whole number", type(value) is int
    elif isinstance(option.type, click.FloatRange):
        expected, fits = "a number", type(value) in (int, float)
    else:
        expected, fits = "a string", isinstance(value, str) and bool(value)
    if not fits:
        raise click.BadParameter(f"expected {expected}, found {value!r}")


def _as_given(option: click.Parameter, value: Any) -> Any:
    """Undo what an option's callback made of its text."""
    if isinstance(value, Mapping):
        return [f"{label}={rate!r}" for label, rate in value.items()]
    if isinstance(value, tuple):
        return ",".join(map(repr, value))
    is_text = not isinstance(option.type, (click.IntRange, click.FloatRange)) and not isinstance(value, bool)
    return str(value) if is_text else value


def _as_toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_as_toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") if isinstance(value, str) else repr(value)
