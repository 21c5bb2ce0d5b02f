"""Pages of the documentation site that no one writes by hand: a MkDocs hook (`hooks` in mkdocs.yml).

- `index.md` is README.md, so that the two cannot differ; CONTRIBUTING.md, ARCHITECTURE.md, CHANGELOG.md and
  benchmarks/RESULTS.md are pages too.
- `api/` is the reference: a page for `headstart` and one for each package, walked from src/headstart, so that a module
  that moves needs no change here.
"""

from __future__ import annotations

import posixpath
import re
import tomllib
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "headstart"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY = PROJECT["urls"]["Repository"]

OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/RESULTS.md": "benchmarks.md",
}
"""Files outside docs/ that are pages, and the name of each page."""

LINK = re.compile(r"(\]\()(?!\w+:|#|/)([^)#\s]+)")
"""A relative link or image in Markdown, up to its `#fragment`."""

HIDDEN = ("__init__", "__main__")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Append the reference to the navigation; take the repository's address from pyproject.toml."""
    config.repo_url = REPOSITORY
    config.site_description = PROJECT["description"]
    pages: list[Any] = [{name: uri} for uri, (name, _) in reference().items()]
    config.nav = [*(config.nav or []), {"API reference": pages}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of `OUTSIDE` and of the reference."""
    for source, uri in OUTSIDE.items():
        if (ROOT / source).is_file():
            files.append(File.generated(config, uri, content=(ROOT / source).read_text(encoding="utf-8")))
    for uri, (_, text) in reference().items():
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point links that leave docs/ at the pages made of those files, or at the repository."""
    uri: str = page.file.src_uri
    source = next((source for source, made in OUTSIDE.items() if made == uri), f"docs/{uri}")
    if source.startswith("docs/api/"):
        return markdown
    return LINK.sub(lambda link: link[1] + site_link(source, link[2]), markdown)


def site_link(source: str, target: str) -> str:
    """The link in file `source` to `target`, both relative to the repository, as the site has it.

    A link to a file that does not exist stays as it is: `mkdocs build --strict` reports it.
    """
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    page = OUTSIDE.get(source, source.removeprefix("docs/"))
    if path in OUTSIDE:
        return posixpath.relpath(OUTSIDE[path], posixpath.dirname(page) or ".")
    if path.startswith("docs/"):
        return posixpath.relpath(path.removeprefix("docs/"), posixpath.dirname(page) or ".")
    if (ROOT / path).exists():
        return f"{REPOSITORY}/blob/main/{path}"
    return target


def reference() -> dict[str, tuple[str, str]]:
    """The reference pages: address -> (title, Markdown)."""
    pages = {"api/headstart.md": ("headstart", "# headstart\n\n::: headstart\n")}
    for package in sorted(path.parent for path in SOURCE.rglob("__init__.py") if path.parent != SOURCE):
        name = ".".join(package.relative_to(SOURCE.parent).parts)
        modules = [f"{name}.{path.stem}" for path in sorted(package.glob("*.py")) if path.stem not in HIDDEN]
        blocks = [block(name, of_package=True), *(block(module) for module in modules)]
        pages[f"api/{name}.md"] = (name.removeprefix("headstart."), f"# {name}\n\n" + "\n".join(blocks))
    modules = [f"headstart.{path.stem}" for path in sorted(SOURCE.glob("*.py")) if path.stem not in HIDDEN]
    text = "# Modules of no package\n\n" + "\n".join(block(module) for module in modules)
    pages["api/headstart.modules.md"] = ("modules of no package", text)
    return pages


def block(module: str, of_package: bool = False) -> str:
    """What mkdocstrings needs for one module; a package shows its own names alone, its modules follow."""
    options = "    options:\n      members: false\n      show_root_heading: false\n" if of_package else ""
    return f"::: {module}\n{options}"
