"""What is typed wrongly, in one line: an option that is none, a missing argument, arguments in another order."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup

from headstart.errors import HeadstartError, did_you_mean

_NO_VALUE = re.compile(r"--[a-z][a-z0-9-]*=")
"""An option whose value is empty, which would be taken for the folder that one is in, or for none at all."""
_DASH = re.compile(r"(--[a-z][a-z0-9-]*=)?-")
"""A dash alone, which elsewhere is standard input or output."""


class Command(TyperCommand):
    """A command whose usage errors are HeadstartErrors: one line, with what to type next."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words after the command's name."""
        typed = list(args)
        self._refuse_no_names(typed)
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            message, option = _message(error), getattr(error, "option_name", None)
            if "NoSuchOption" in _kinds(error) and isinstance(option, str):
                raise self._no_option(ctx, option, typed) from None
            raise HeadstartError(f"{self.name}: {message}", f"headstart {self.name} --help") from None

    def _refuse_no_names(self, typed: Sequence[str]) -> None:
        """Raise HeadstartError for words that no file is meant by: nothing at all, and a dash."""
        if empty := [word for word in typed if not word or _NO_VALUE.fullmatch(word)]:
            raise HeadstartError(
                f"{self.name}: expected words that are not empty, found {empty[0] or repr('')} (a variable of the shell"
                " without a value?)",
                f"headstart {self.name} --help",
            )
        if dash := [word for word in typed if _DASH.fullmatch(word)]:
            raise HeadstartError(
                f"{self.name}: expected the name of a file or folder, found {dash[0]} (standard input and output are"
                " not read or written by this name)",
                "./- for a file of that name; a table without --out is printed",
            )

    def _no_option(self, ctx: Any, option: str, typed: Sequence[str]) -> HeadstartError:
        from headstart.recipes.recipe import fields_named

        name = option.lstrip("-").replace("-", "_")
        fields = fields_named(name) if "[FIELD=VALUE]..." in self.collect_usage_pieces(ctx) else []
        if fields:
            words = _as_field(typed, option, fields[0])
            return HeadstartError(
                f"{self.name}: expected an option, found {option}; recipe fields are written as {fields[0]}=VALUE",
                shlex.join(["headstart", str(self.name), *words]),
            )
        known = [name for each in self.params for name in each.opts if name.startswith("--")]
        return HeadstartError(
            f"{self.name}: expected an option, found {option}; {did_you_mean(option, known)}",
            f"headstart {self.name} --help",
        )


class Group(TyperGroup):
    """Commands under one name, of which an unknown one is a HeadstartError."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options before the command's name."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            raise HeadstartError(_message(error), f"{_path(ctx)} --help") from None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of this name, and the words after it."""
        try:
            return super().resolve_command(ctx, args)
        except Exception as error:
            _message(error)
            path, name = _path(ctx), args[0]
            if Path(name).is_dir() and "study" in self.commands:
                found = f"expected a command, found the folder {name}"
                raise HeadstartError(found, f"{path} study {shlex.join(args)}") from None
            near = did_you_mean(name, list(self.commands))
            raise HeadstartError(f"expected a command, found {name}; {near}", f"{path} --help") from None


def _path(ctx: Any) -> str:
    """``headstart`` or ``headstart recipe``, however Python was started."""
    return "headstart" + str(ctx.command_path).removeprefix(str(ctx.find_root().command_path))


def _message(error: Exception) -> str:
    """What a usage error says; any other one, and a command that shows its help for want of words, is raised again."""
    kinds = _kinds(error)
    if "UsageError" not in kinds or "NoArgsIsHelpError" in kinds:
        raise error
    return str(error.format_message()).rstrip(".")  # type: ignore[attr-defined]


def _kinds(error: Exception) -> set[str]:
    """Names of an exception's classes: those of click, or of the copy of it that typer brings along."""
    return {each.__name__ for each in type(error).__mro__}


def _as_field(typed: Sequence[str], option: str, field: str) -> list[str]:
    """The words with ``--epochs 2`` or ``--epochs=2`` as ``train.epochs=2``."""
    words, rest = list[str](), iter(typed)
    for word in rest:
        name, equals, value = word.partition("=")
        if name != option:
            words.append(word)
        else:
            words.append(f"{field}={value if equals else next(rest, 'VALUE')}")
    return words


def refuse_swapped(recipe: str, data: str, overrides: Sequence[str]) -> None:
    """Raise HeadstartError where recipe and data stand in the other order."""
    if not Path(recipe).is_dir():
        return
    from headstart.recipes.recipe import shipped  # takes a while, with pydantic

    if data in shipped() or data.endswith(".toml"):
        raise HeadstartError(
            f"fit: expected RECIPE DATA, found a folder ({recipe}) before a recipe ({data})",
            shlex.join(["headstart", "fit", data, recipe, *overrides]),
        )
