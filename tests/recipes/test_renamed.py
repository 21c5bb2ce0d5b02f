"""Old names of recipe fields are refused with their new names, wherever they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import headstart as hs
from headstart.recipes import recipe as recipes
from headstart.recipes.renamed import FIELDS, TABLES, VALUES
from headstart.recipes.schema import Part
from headstart.runs.folder import RunFolder


@pytest.mark.parametrize(
    ("old", "value", "sentence"),
    [
        ("views.flip", 0.3, "field views.flip is now called augment.hflip"),
        ("views.rotate", 10, "field views.rotate is now called augment.rotate"),
        ("keep.metric", "last", "field keep.metric is now called checkpoint.monitor"),
        ("insight.epochs", [1], "field insight.epochs is now called analysis.epochs"),
        ("train.batch", 8, "field train.batch is now called train.batch_size"),
        ("backbone.train", False, "field backbone.train=false is now called backbone.freeze=true"),
        ("backbone.train", 1, "field backbone.train is now called backbone.freeze, and means the opposite"),
        ("probe.method", "steps", "field probe.method=steps is now called probe.method=sgd"),
        ("data.judge_on", "training", "field data.judge_on=training is now called data.validate_on=train"),
    ],
)
def test_an_old_field_is_refused_in_an_override_and_in_a_file(
    old: str, value: Any, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(hs.HeadstartError) as error:
        recipes.load("quick", {old: value})
    assert error.value.message == f"override: {sentence}"
    table, field = old.split(".")
    file = tmp_path / "my.toml"
    text = {True: "true", False: "false"}.get(value, repr(value)) if isinstance(value, bool) else repr(value)
    file.write_text(f"[{table}]\n{field} = {text}\n")
    with pytest.raises(hs.HeadstartError) as error:
        recipes.load(str(file))
    assert error.value.message == f"recipe {file}: {sentence}"


def test_all_old_fields_of_a_recipe_are_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text("[views]\nflip = 0.5\n[train]\nbatch = 8\nepochs = 3\n")
    expected = r"views\.flip is now called augment\.hflip; field train\.batch is now called train\.batch_size\. Next"
    with pytest.raises(hs.HeadstartError, match=expected):
        recipes.load(str(file))


def test_an_old_recipe_inside_a_run_is_refused(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", recipes.load("quick"), {}, {})
    run.write("recipe.toml", b"[data]\nsize = 32\n")
    with pytest.raises(hs.HeadstartError, match=r"recipe\.toml: field data\.size is now called data\.image_size"):
        _ = RunFolder.open(run.path).recipe


def known(name: str) -> bool:
    """Whether a recipe has this field."""
    table, field = name.split(".")
    annotation = recipes.Recipe.model_fields[table].annotation
    part = next(iter(getattr(annotation, "__args__", ())), annotation)
    assert isinstance(part, type)
    assert issubclass(part, Part)
    return field in part.model_fields


def test_every_new_name_is_a_field_of_today_and_no_old_one_is() -> None:
    for old, new in FIELDS.items():
        assert known(new), new
        assert old.split(".")[0] in TABLES or not known(old), old
    for new in VALUES.values():
        recipes.load("quick", recipes.read_overrides([new, "train.epochs=1", "head.hidden=[]"]))
    assert set(TABLES.values()) <= set(recipes.Recipe.model_fields)
    assert not set(TABLES) & set(recipes.Recipe.model_fields)
