"""Every command in the README and in docs/ does what it says; every example in Python runs."""

from __future__ import annotations

import io
import re
import shlex
import shutil
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from headstart.cli.main import main
from headstart.recipes import recipe as recipes
from headstart.studies import budget

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(document: Path) -> list[list[str]]:
    """The words of every headstart command in a document's sh blocks, in order."""
    lines = [line for block in blocks(document, "sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("headstart ")]


@pytest.fixture
def small_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped recipes on small images for two epochs: what is proved is that the commands work, not how well."""
    source = recipes.source

    def small(name: str) -> str:
        text = source(name)
        if "epochs = [" in text:  # of the report, which no document trains
            return text
        side = 64 if 'task = "segment"' in text else 32
        for field, value, now in (("image_size", r"\d+", side), ("sizes", r"\[.*\]", []), ("epochs", r"\d+", 2)):
            text = re.sub(rf"^{field} = {value}", f"{field} = {now}", text, flags=re.MULTILINE)
        return text

    monkeypatch.setattr(recipes, "source", small)
    monkeypatch.setattr(budget, "DEFAULT", 1.0)  # a study without a budget takes the least that it needs


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
@pytest.mark.usefixtures("tiles", "small_recipes")
def test_commands_succeed(document: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that holds sixty photographs in ``photos``, image and mask pairs in ``tiles``, a table in ``dogs``.

    Status 1 is a finding of `check`.
    """
    monkeypatch.chdir(photos.parent)
    Path("dogs").mkdir()
    files = {f"{file.parent.name}{file.name}": file for file in photos.rglob("*.jpg")}
    for name, file in files.items():
        shutil.copy(file, Path("dogs", name))
    Path("dogs", "labels.csv").write_text(
        "id,breed\n" + "".join(f"{name},{name.rstrip('.jpg0123456789')}\n" for name in files)
    )
    monkeypatch.setenv("COLUMNS", "160")
    for words in commands(document):
        monkeypatch.setattr(sys, "argv", ["headstart", *words])
        with pytest.raises(SystemExit) as left:
            main()
        allowed = (0, 1) if words[0] == "check" else (0,)
        assert left.value.code in allowed, words


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
@pytest.mark.usefixtures("small_recipes")
def test_python_examples_run(document: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)
    names: dict[str, object] = {}
    with redirect_stdout(io.StringIO()):
        for block in blocks(document, "python"):
            exec(compile(block, document.name, "exec"), names)


def test_every_page_is_named_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert f"docs/{page.name}" in readme


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


def test_continuous_integration_calls_the_readme_s_test_command() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")
