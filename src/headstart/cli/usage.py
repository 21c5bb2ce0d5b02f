"""What is typed wrongly, in one line: an option that is none, a missing argument, arguments in another order."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from headstart.errors import HeadstartError, did_you_mean


class Command(TyperCommand):
    """A command whose usage errors are HeadstartErrors: one line, with what to type next."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words after the command's name."""
        typed = list(args)
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            kinds = {each.__name__ for each in type(error).__mro__}  # click's, or the one that typer brings along
            if "UsageError" not in kinds or "NoArgsIsHelpError" in kinds:
                raise
            option = getattr(error, "option_name", None)
            if "NoSuchOption" in kinds and isinstance(option, str):
                raise self._no_option(ctx, option, typed) from None
            message = str(error.format_message())  # type: ignore[attr-defined]
            raise HeadstartError(f"{self.name}: {message.rstrip('.')}", f"headstart {self.name} --help") from None

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
    from headstart.recipes.recipe import shipped

    if Path(recipe).is_dir() and (data in shipped() or data.endswith(".toml")):
        raise HeadstartError(
            f"fit: expected RECIPE DATA, found a folder ({recipe}) before a recipe ({data})",
            shlex.join(["headstart", "fit", data, recipe, *overrides]),
        )
