"""``headstart check``: validate a dataset before training; with a run, images after it (`check_images`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from headstart.cli.arguments import DATA_HELP, ERR, OUT, errors_as_json, print_json
from headstart.cli.check_images import check_images, is_run
from headstart.errors import HeadstartError, quoted

if TYPE_CHECKING:
    from headstart.data.checks.check import CheckResult


def check(
    data: Annotated[str, typer.Argument(metavar="DATA | RUN", help=f"{DATA_HELP} Or a run folder, before IMAGES.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FIELD=VALUE | IMAGES",
            help="Recipe fields to change, such as data.bands=[3,2,1]. After a run: files, folders or glob patterns.",
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            help="Regular expression for an image's source (patient, video) in its path; a source in two splits is"
            " leakage."
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            help="How to read the folder where it could be read in two ways: auto, table, pairs (images with masks),"
            " folders (one per class), names (hat_1.jpg) or none (no labels). In a recipe: data.layout."
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="Which columns of a table are what, as file=id,label=breed. In a recipe: data.columns."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Page to write: pictures of every class with what their label or mask is taken to be."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check a dataset: how it is read, class balance, broken files, duplicates, leakage, and every file not used.

    [bold]headstart check photos/[/bold] does so before training.
    [bold]headstart check runs/quick-photos new/[/bold] asks after it: are these images still of the kind that the run
    was trained on? It compares their features and confidence with those of the run's validation images.

    Exit status: 0 no issues, 1 warnings, or images of another kind, 2 not usable for training.
    """
    if is_run(data):
        _require_no_options(data, group, layout, columns, html)
        check_images(data, overrides or [], as_json)
    _require_fields(data, overrides or [])
    with ERR.status(f"reading {escape(data)}"):  # on the screen before the imports, which take a second
        from headstart import api
        from headstart.console.progress import progress_bar
        from headstart.recipes.recipe import read_overrides

    with errors_as_json(as_json):
        if html is not None:
            from headstart.report.check_page import require_page

            require_page(html)
        fields = read_overrides(overrides or []) | _fields_of(group, layout, columns)
        with progress_bar(ERR, "decode images") as progress:
            result = api.check(data, overrides=fields, page=html, progress=progress)
    _print_checked(result, html, as_json)
    raise typer.Exit(result.status)


def _fields_of(group: str | None, layout: str | None, columns: str | None) -> dict[str, object]:
    """The fields of a recipe that these options change."""
    given = {"data.group_regex": group, "data.layout": layout, "data.columns": columns}
    return {name: value for name, value in given.items() if value is not None}


def _print_checked(result: CheckResult, page: Path | None, as_json: bool) -> None:
    """Print what was found, and where its page and the classes to be named are."""
    from headstart.console.tables import check_table

    if as_json:
        print_json(result.to_json())
    else:
        OUT.print(check_table(result))
    if page is not None:
        ERR.print(f"page written to {page}", markup=False, soft_wrap=True)
    if result.to_name is not None:
        _write_class_file(Path(result.root), *result.to_name)


def _require_no_options(run: str, *given: object) -> None:
    """Raise HeadstartError for options that say how a folder of training images is read."""
    if any(each is not None for each in given):
        raise HeadstartError(
            f"check {run}: expected images after a run and no other option than --json, found one of --group, --layout,"
            " --columns and --html, which are for a folder of images",
            f"headstart check {quoted(run)} IMAGES",
        )


def _require_fields(data: str, words: list[str]) -> None:
    """Raise HeadstartError for images after what is no run: they are no fields of a recipe."""
    if images := [word for word in words if "=" not in word and Path(word).exists()]:
        raise HeadstartError(
            f"check {data}: expected a run folder before images ({images[0]}), found no recipe.toml in it",
            f"headstart check RUN {quoted(images[0])}, or headstart check {quoted(images[0])} (how it is read)",
        )


def _write_class_file(root: Path, name: str, text: str) -> None:
    """Write the classes found in the masks to a file, for the user to name; print them if it cannot be written."""
    stem, _, suffix = name.partition(".")
    file = root / f"{stem}.found.{suffix}"
    if not file.exists():
        try:
            file.write_text(text, encoding="utf-8")
        except OSError:
            ERR.print(f"Name these classes, in {root / name}:\n{text}", markup=False)
            return
    ERR.print(f"Name the classes in {file}, then: mv {file} {root / name}", markup=False, soft_wrap=True)
