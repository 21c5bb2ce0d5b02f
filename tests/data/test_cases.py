"""The folders that `../shared/cases` builds after public reports and known data sets: each with its right reading."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from conftest import HAVE_SHARED, SHARED
from headstart.data.checks.check import check_with_index
from headstart.errors import HeadstartError

if (
    not HAVE_SHARED
):  # one skip for all: the same kinds of folders are made and read in test_exports.py and test_pairs.py
    pytest.skip("../shared is on development machines and in CI only", allow_module_level=True)

pytestmark = [
    pytest.mark.shared,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:unclosed file", "ignore:Exception ignored in"),  # of the scripts
]
EXPECTED: dict[str, str] = json.loads(Path(__file__).with_name("cases.json").read_text())
"""Case -> what `outcome` gives; a refusal is matched as a regular expression."""
MUNDANE = re.compile("duplicate|imbalance|unnamed|class missing|one image")
"""Issues of the few pictures of a case, not of how they are read."""


def outcome(root: Path) -> str:
    """Status, kind of the reading, number of images, classes, and the kinds of errors and warnings."""
    try:
        index, result = check_with_index(root)
    except HeadstartError as error:
        return f"refused: {error.message.replace(str(root), 'ROOT')}"
    kind = "masks" if index.masks else "table" if index.layout.startswith("CSV") else "none"
    kind = "labels" if kind == "none" and index.classes else kind
    classes = ", ".join(index.classes) if len(index.classes) < 5 else f"{len(index.classes)} classes"
    issues = {f"{i.severity}: {i.kind}" for i in result.issues if i.severity != "note" and not MUNDANE.search(i.kind)}
    return "; ".join([f"{kind} {len(index)}", classes or "no classes", *sorted(issues)])


@pytest.fixture(scope="session")
def source(shared_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clothing/, camvid/ and aerial/, as the scripts want it."""
    root = tmp_path_factory.mktemp("source")
    for name in ("clothing", "camvid", "aerial"):
        shutil.copytree(shared_data(name), root / name, copy_function=os.link)
    return root


def script(name: str) -> ModuleType:
    folder = str(SHARED.parent / "cases")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)


@pytest.mark.parametrize("case", EXPECTED)
def test_it_is_read_rightly_or_refused(case: str, source: Path, tmp_path: Path) -> None:
    name, _, function = case.partition("/")
    root = tmp_path / function
    if name == "files":
        script("common").folder_per_class(source, root)
    else:
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
    getattr(script(name), function)(source, root)
    assert re.fullmatch(EXPECTED[case], outcome(root)) or EXPECTED[case] == outcome(root)
