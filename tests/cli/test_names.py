"""Names of files as people and other programs make them: they are printed as they are, and refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from command import headstart, refused

LONG = "n" * 300
DIGITS = "9" * 5000


@pytest.mark.parametrize("name", ["o[ld]", "x[/y]z", "[red]", ":dog:", "a\\[b]"])
def test_brackets_and_colons_are_printed_as_they_are(name: str, trained: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    assert f"{folder / 'nothing'}: expected a run folder" in refused("report", folder / "nothing")
    folder.mkdir(parents=True)
    image = next(trained[1].rglob("*.jpg"))
    done = headstart("predict", trained[0], image, "--out", folder / "p.csv")
    assert f"1 labels written to {folder / 'p.csv'}" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("check", LONG),
        ("fit", "quick", "{photos}", "--out", LONG),
        ("fit", "quick", "{photos}", f"backbone.weights={LONG}"),
        ("fit", LONG, "{photos}"),
        ("fit", "--resume", LONG),
        ("report", LONG),
        ("study", "{photos}", "--out", LONG),
        ("check", "{photos}", "--html", LONG),
        ("fit", "quick", "{photos}", f"train.epochs={DIGITS}"),
    ],
)
def test_a_name_or_a_number_that_is_too_long_is_refused(words: tuple[str, ...], photos: Path, tmp_path: Path) -> None:
    refused(*(word.format(photos=photos) for word in words), cwd=tmp_path)


def test_a_label_of_five_thousand_digits_is_a_label(photos: Path) -> None:
    rows = [
        f"{file.relative_to(photos)},{DIGITS if file.parent.name == 'hat' else 5}" for file in photos.rglob("*.jpg")
    ]
    (photos / "labels.csv").write_text("filename,label\n" + "\n".join(rows) + "\n")
    assert headstart("check", photos, "--layout", "table").returncode in (0, 1)
