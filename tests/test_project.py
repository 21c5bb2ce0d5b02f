"""What stands in more than one file of the project says the same in all of them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TARGETS = [
    "setup",
    "demo",
    "lint",
    "format",
    "typecheck",
    "test",
    "test-fast",
    "test-minimum",
    "docs",
    "architecture",
    "wheel",
    "bench",
    "clean",
]


def pinned(file: Path) -> dict[str, str]:
    """Package -> version of the `package==version` lines of a file; names normalized (PEP 503)."""
    lines = [line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    return {normalized(name): version for name, _, version in (line.partition("==") for line in lines if line)}


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements() -> list[tuple[str, str]]:
    """(package, specifier) of all dependencies, extras included."""
    extras = PROJECT["optional-dependencies"].values()
    found = []
    for requirement in [*PROJECT["dependencies"], *(each for extra in extras for each in extra)]:
        match = re.fullmatch(r"([\w.-]+)(?:\[[\w,-]+\])?(.*)", requirement)
        assert match
        found.append((normalized(match[1]), match[2]))
    return found


def test_the_citation_has_the_version_and_the_address_of_the_project() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert citation["repository-code"] == PROJECT["urls"]["Repository"]
    assert citation["license"] == PROJECT["license"]


def test_every_dependency_is_pinned() -> None:
    pins = pinned(ROOT / "constraints.txt")
    assert [name for name, _ in requirements() if name not in pins] == []


RUNNING = ("demo", "geo", "heif", "labels", "medical", "parquet")
"""Extras that users install; the others are for development."""


def test_the_minimum_is_the_lower_end_of_every_range_that_running_needs() -> None:
    minimum = pinned(ROOT / "constraints-minimum.txt")
    extras = PROJECT["optional-dependencies"]
    needed = {
        normalized(re.split(r"[<>=\[]", each)[0])
        for each in [*PROJECT["dependencies"], *(each for name in RUNNING for each in extras[name])]
    }
    assert set(minimum) == needed
    for name, specifier in requirements():
        if name in needed:
            lower = re.search(r">=([\d.]+)", specifier)
            assert lower and release(lower[1]) == release(minimum[name]), name


def release(version: str) -> list[int]:
    """The numbers of a version, without zeros at its end: 2.6.0 is 2.6."""
    numbers = [int(number) for number in version.split(".")]
    while numbers[-1] == 0:
        numbers.pop()
    return numbers


def test_make_has_its_targets_each_with_a_line_of_help() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [target for target in TARGETS if not re.search(rf"^{target}:.*## \w", makefile, re.MULTILINE)] == []
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert [target for target in TARGETS if f"`make {target}`" not in contributing] == []


def test_continuous_integration_runs_the_script_on_the_oldest_python() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    job = workflow["jobs"]["test"]
    assert ".ci/run" in [step.get("run") for step in job["steps"]]
    assert PROJECT["requires-python"] == f">={job['strategy']['matrix']['python'][0]}"


def test_issue_forms_have_what_a_form_needs() -> None:
    forms = [path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"]
    assert forms
    for path in forms:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert {"name", "description", "body"} <= set(form)
        assert all({"type", "id", "attributes"} <= set(field) for field in form["body"])


def test_the_commit_hooks_need_no_network() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    assert {hook["language"] for repo in config["repos"] for hook in repo["hooks"]} == {"system"}
