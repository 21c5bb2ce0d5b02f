"""The documentation site: built strictly, complete, and without another host."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import headstart as hs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("mkdocs") is None, reason="mkdocs is not installed: pip install -e .[docs]"),
]

ROOT = Path(__file__).parents[1]


def build(project: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("docs") / "site"
    done = build(ROOT, site)
    assert done.returncode == 0, done.stdout + done.stderr
    return site


def test_every_page_of_docs_is_built_and_the_readme_is_the_index(site: Path) -> None:
    for page in (ROOT / "docs").glob("*.md"):
        assert (site / page.stem / "index.html").is_file()
    assert 'href="study/"' in (site / "index.html").read_text(encoding="utf-8")


def test_the_reference_has_every_public_name_and_every_package(site: Path) -> None:
    page = (site / "api" / "headstart" / "index.html").read_text(encoding="utf-8")
    for name in hs.__all__:
        if not name.startswith("__"):
            assert f'id="headstart.{name}"' in page, name
    source = ROOT / "src" / "headstart"
    for package in (path.parent for path in source.rglob("__init__.py")):
        name = ".".join(package.relative_to(source.parent).parts)
        assert (site / "api" / name / "index.html").is_file()


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r'src="(https?:)?//|<link[^>]*rel="stylesheet"[^>]*href="(https?:)?//', text), page


def test_a_broken_link_fails_the_build(tmp_path: Path) -> None:
    """On a copy with one module, so that it is quick."""
    for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md", "mkdocs.yml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("docs", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    module = tmp_path / "src" / "headstart" / "__init__.py"
    module.parent.mkdir(parents=True)
    module.write_text('"""A module."""\n', encoding="utf-8")
    sound = build(tmp_path, tmp_path / "site")
    assert sound.returncode == 0, sound.stdout + sound.stderr

    with (tmp_path / "docs" / "recipes.md").open("a", encoding="utf-8") as page:
        page.write("\n[nowhere](no-such-page.md)\n")
    broken = build(tmp_path, tmp_path / "site")
    assert broken.returncode != 0
    assert "no-such-page.md" in broken.stdout + broken.stderr
