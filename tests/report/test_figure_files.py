"""Figures beside a page are SVG files that stand alone, with what the page's figures show."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from headstart.comparison.study import Study
from headstart.comparison.summary import Results
from headstart.report.figure_files import standalone
from headstart.report.run_page import write_report
from headstart.report.study_plots import over_labels
from headstart.runs.folder import RunFolder

SVG = "{http://www.w3.org/2000/svg}"


def assert_stands_alone(content: bytes) -> ElementTree.Element:
    """Valid XML that loads nothing, on white, without what only browsers know."""
    text = content.decode()
    assert not re.search(r"var\(|color-mix|@media|url\(|href", text)
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    rectangle = root.find(f"{SVG}rect")
    assert rectangle is not None
    assert rectangle.get("fill") == "#fff"
    return root


def test_a_trained_run_has_its_figures_beside_its_page(trained: tuple[Path, Path], tmp_path: Path) -> None:
    run = RunFolder.open(shutil.copytree(trained[0], tmp_path / "run"))
    shutil.rmtree(run.path / "figures")
    page = write_report(run).read_text(encoding="utf-8")
    files = {file.stem: file for file in (run.path / "figures").iterdir()}
    assert sorted(files) == ["confusion", "curves", "intervals", "reliability"]
    for name, file in files.items():
        root = assert_stands_alone(file.read_bytes())
        shown = re.findall(rf'id="{name}">(.*?)</section>', page, re.DOTALL)[0]
        assert len(list(root.iter(f"{SVG}svg"))) - 1 == len(re.findall(r'<svg class="chart(?![^"]*narrow)', shown))
        words = {each.text for each in root.iter(f"{SVG}text")}
        assert words.issuperset(re.findall(r'class="key".*?</svg>([^<&]+)</button>', shown, re.DOTALL))


def test_a_study_s_lines_keep_their_names_and_colors(made_study: Callable[..., Study]) -> None:
    root = assert_stands_alone(standalone(over_labels(Results(made_study()))))
    assert any("from scratch" in (each.text or "") for each in root.iter(f"{SVG}text"))
    assert any("#5d6675" in each.get("style", "") for each in root.iter())  # of A
