"""The image files that a prediction is asked for, what they are called in its table, and what was left aside."""

from __future__ import annotations

import glob
import mimetypes
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from PIL import Image

from headstart.data.formats import (
    COMMON_SUFFIXES,
    OTHER_SUFFIXES,
    UNREAD_IMAGES,
    extra_for,
    is_image_file,
    raster_formats,
)
from headstart.data.index import natural_key
from headstart.data.tree import open_folders, own_folder, own_folder_at, refuse_own_folder
from headstart.data.unreadable import WITHHELD
from headstart.errors import HeadstartError

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
HIDDEN = re.compile(r"\.")
NOT_A_FILE = "not a regular file"
LITTER = frozenset(["thumbs.db", "desktop.ini"])
"""Files that systems leave in folders; hidden files are others."""


@dataclass(frozen=True)
class ImageFiles:
    """Files to look at, in order, and those that were left aside."""

    files: tuple[Path, ...]
    names: tuple[str, ...]
    """What each file is called in a table: its path below the one folder that was given, else its path as given."""
    unread: tuple[tuple[Path, str], ...] = ()
    """(file, reason): images by their names that are not looked at, and folders that cannot be opened."""
    others: tuple[Path, ...] = ()
    """Files in the folders that are no images by name or content, and runs and studies, which are folders."""

    def keep(self, kept: Iterable[Path]) -> ImageFiles:
        """Only some of the files, in their order."""
        wanted = set(kept)
        pairs = [(file, name) for file, name in zip(self.files, self.names, strict=True) if file in wanted]
        return ImageFiles(tuple(f for f, _ in pairs), tuple(n for _, n in pairs), self.unread, self.others)

    def with_bare_names(self) -> ImageFiles:
        """The files called by their names alone. Raises HeadstartError if two are called the same."""
        first: dict[str, Path] = {}
        for file in self.files:
            other = first.setdefault(file.name, file)
            if other is not file:
                raise HeadstartError(
                    f"{file}: expected every file name once, found {other} as well",
                    "the same without --names, which writes the folders of the files too",
                )
        return ImageFiles(self.files, tuple(file.name for file in self.files), self.unread, self.others)


def as_list(paths: Paths) -> list[str | os.PathLike[str]]:
    """One path or several, as a list."""
    return [paths] if isinstance(paths, str | os.PathLike) else list(paths)


def find_images(paths: Paths) -> ImageFiles:
    """Expand folders, glob patterns (``photos/*.jpg``) and file names into image files, in natural order.

    A file that is named is taken whatever it is; in a folder, and of what a pattern finds, what is an image. A file is
    taken once. Raises HeadstartError for a path without images.
    """
    given = as_list(paths)
    below = len(given) == 1 and Path(given[0]).is_dir()
    names: dict[Path, str] = {}
    unread: dict[Path, str] = {}
    others: dict[Path, None] = {}
    for each in given:
        found = _expand(each)
        if not found.files:
            raise _no_images(each, found)
        for file in found.files:
            name = file.relative_to(each).as_posix() if below else os.fspath(each) if file == Path(each) else str(file)
            names.setdefault(file, name)
        unread.update(found.unread)
        others.update(dict.fromkeys(found.others))
    return ImageFiles(tuple(names), tuple(names.values()), tuple(unread.items()), tuple(others))


def _expand(path: str | os.PathLike[str]) -> ImageFiles:
    """The files of one path that was given; their names are left empty."""
    if Path(path).is_dir():
        refuse_own_folder(Path(path))
        return _sorted_out(_files_below(Path(path)))
    if os.path.lexists(path):
        return _sorted_out([(Path(path), "")], named=True)
    matched = [Path(name) for name in sorted(glob.glob(os.fspath(path), recursive=True), key=natural_key)]  # noqa: PTH207
    return _sorted_out(
        (inside, reason)
        for match in _outside_own(matched, os.fspath(path))
        for inside, reason in (
            _files_below(match) if match.is_dir() and own_folder_at(match) is None else [(match, "")]
        )
    )


def _outside_own(matched: Iterable[Path], pattern: str) -> list[Path]:
    """What a pattern finds, without what lies in runs and studies below its fixed beginning: in its place these."""
    fixed = Path(*takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts))
    own: dict[Path, bool] = {}
    found: dict[Path, None] = {}
    for match in matched:
        parts = match.relative_to(fixed).parts
        folders = [fixed.joinpath(*parts[:count]) for count in range(1, len(parts))]
        for folder in folders:
            if folder not in own:
                own[folder] = own_folder_at(folder) is not None
        found.setdefault(next((folder for folder in folders if own[folder]), match))
    return list(found)


def _sorted_out(found: Iterable[tuple[Path, str]], named: bool = False) -> ImageFiles:
    """Files by what is done with them; ``named`` are tried whatever they are, if only they are files."""
    files: list[Path] = []
    unread: list[tuple[Path, str]] = []
    others: list[Path] = []
    for file, reason in found:
        fault = reason or _not_a_file(file)
        if fault == NOT_A_FILE and own_folder_at(file) is not None:
            others.append(file)
        elif fault:
            unread.append((file, fault))
        elif named or (not is_litter(file) and is_image_file(file)):
            files.append(file)
        elif not is_litter(file) and _image_by_name(file):
            unread.append((file, with_hint(file, "not an image that is read here")))
        else:
            others.append(file)
    return ImageFiles(tuple(files), (), tuple(unread), tuple(others))


def _files_below(folder: Path) -> Iterator[tuple[Path, str]]:
    """(file, "") for all files below a folder, in natural order; (folder, reason) for those that cannot be opened.

    Links to folders are followed, each folder once; hidden folders are not opened, nor those that headstart wrote,
    which are listed themselves.
    """
    failures: list[tuple[Path, str]] = []
    found: list[str] = []

    def failed(error: OSError) -> None:
        failures.append((Path(error.filename), f"cannot be opened ({error.strerror})"))

    for inside, subfolders, names in open_folders(folder, HIDDEN, lambda *_: None, failed):
        if inside and own_folder(names) is not None:
            subfolders.clear()
            found.append(inside)
            continue
        found += [f"{inside}/{name}".lstrip("/") for name in names]
    yield from ((folder / name, "") for name in sorted(found, key=natural_key))
    yield from failures


def _not_a_file(file: Path) -> str:
    """Why a path is not to be opened: a broken link, a pipe, a device; empty for a regular file."""
    try:
        mode = file.stat().st_mode
    except OSError as error:
        return f"{'missing' if isinstance(error, FileNotFoundError) else WITHHELD} ({error.strerror})"
    return "" if stat.S_ISREG(mode) else NOT_A_FILE


def is_litter(file: Path) -> bool:
    """Whether a file is one of those that lie about in folders of images: texts, tables, hidden files."""
    name = file.name.lower()
    return name.startswith(".") or name in LITTER or file.suffix.lower() in OTHER_SUFFIXES


def _image_by_name(file: Path) -> bool:
    suffix = file.suffix.lower()
    if suffix in COMMON_SUFFIXES or suffix in UNREAD_IMAGES or extra_for(file) is not None:
        return True
    by_pillow = Image.registered_extensions().get(suffix) in raster_formats()
    return by_pillow or (mimetypes.guess_type(file.name)[0] or "").startswith("image/")


def with_hint(file: Path, reason: str) -> str:
    """``reason``, and what to install or do where the file is of a format that is not read."""
    extra = extra_for(file)
    if not reason.startswith("not an image"):
        return reason
    if extra is not None:
        return f"{reason}; pip install 'headstart[{extra}]'"
    return (
        f"{reason}; convert it to JPEG or PNG"
        if _image_by_name(file) and file.suffix.lower() in UNREAD_IMAGES
        else reason
    )


def count_suffixes(files: Sequence[Path]) -> str:
    """``2 .txt, 1 .db``: the most common suffixes first."""
    count = Counter(file.suffix.lower() or "without suffix" for file in files)
    return ", ".join(f"{number:,} {suffix}" for suffix, number in count.most_common(4))


def _no_images(path: str | os.PathLike[str], found: ImageFiles) -> HeadstartError:
    left = [*(file for file, _ in found.unread), *found.others]
    said = f"none ({count_suffixes(left)})" if left else "none"
    if len(left) == 1 and found.unread:  # a file that was named
        said = f"one that cannot be read: {found.unread[0][1]}"
    extra = next((name for file in left if (name := extra_for(file))), None)
    hint = f"pip install 'headstart[{extra}]'" if extra else f"ls {Path(path).parent}"
    return HeadstartError(f"{os.fspath(path)}: expected images, found {said}", hint)
