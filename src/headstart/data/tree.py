"""All files below a folder in one walk: images, tables, others, and what operating systems leave behind."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from headstart.data.formats import UNREAD_IMAGES, extra_for, is_image_file
from headstart.data.unused import ORDINARY, Kind, Reason
from headstart.environment import cache_folder
from headstart.errors import HeadstartError, quoted
from headstart.runs.lifecycle import RUN_FILES

TABLE_SUFFIXES = frozenset([".csv", ".tsv"])
SYSTEM_FOLDERS = re.compile(
    r"\.|\$|__MACOSX$|__pycache__$|@eaDir$|@Recycle$|#recycle$|#snapshot$|@tmp$"
    r"|System Volume Information$|lost\+found$",
    re.IGNORECASE,
)
"""Folders of file systems, editors and storage boxes: hidden ones, trash, thumbnails."""
SYSTEM_FILES = re.compile(r"\.|Thumbs\.db|ehthumbs.*\.db|desktop\.ini$|Icon\r$|~\$", re.IGNORECASE)
FOUND = re.compile(r"(class_dict|classes)\.found\.(csv|txt)$")
"""Written by `headstart check`, for the user to name the classes of masks."""
OWN = {
    "run folder of headstart": frozenset(RUN_FILES),
    "study folder of headstart": frozenset(["study.json"]),
    "new study folder of headstart": frozenset(["requested.toml", "pretraining.toml"]),
    "race folder of headstart": frozenset(["race.json"]),
}
"""What marks the folders that headstart writes."""


@dataclass(frozen=True)
class Tree:
    """The files below a folder, relative to it and with forward slashes."""

    root: Path
    images: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    """CSV and TSV files."""
    others: dict[str, Reason] = field(default_factory=dict)
    """File that is none of these -> why it is not read, "" for ordinary files in other formats."""
    system: dict[str, Reason] = field(default_factory=dict)
    """Files and folders (with a slash at the end) that are not entered -> what they are."""
    folders: list[str] = field(default_factory=list)
    """Folders that are entered, without the root."""

    @property
    def ordinary(self) -> list[str]:
        """Of the others, those that may be opened: no pipes, devices or links to nothing."""
        return [path for path, why in self.others.items() if why == ORDINARY]


def walk(root: Path) -> Tree:
    """List the files below ``root``. Links to folders elsewhere are followed, each folder once.

    Raises HeadstartError for a folder that cannot be opened: a class of images would be missing without a word.
    """
    tree = Tree(root)

    def skip(folder: str, why: str) -> None:
        tree.system[f"{folder}/"] = Reason(Kind.SYSTEM, why)

    def refuse(error: OSError) -> None:
        raise HeadstartError(
            f"{error.filename}: expected a folder that can be opened, found one that cannot ({error.strerror})",
            f"chmod u+rx {quoted(error.filename)} as its owner, or have it elsewhere",
        )

    for inside, subfolders, names in open_folders(root, SYSTEM_FOLDERS, skip, refuse):
        prefix = f"{inside}/" if inside else ""
        if prefix and (kind := own_folder(names)):
            tree.system[prefix] = Reason(Kind.SYSTEM, kind)
            subfolders.clear()
            continue
        if prefix:
            tree.folders.append(inside)
        for name in names:
            _add(tree, os.path.join(root, inside, name), prefix + name, name)  # noqa: PTH118 - a Path takes as long as the rest
    return tree


def open_folders(
    root: Path,
    system: re.Pattern[str],
    skip: Callable[[str, str], None],
    on_error: Callable[[OSError], None] | None = None,
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield (folder relative to ``root``, its subfolders, its files), "" for ``root`` itself, each folder once.

    As with `os.walk`, subfolders that are removed from the list are not entered. Links to folders elsewhere are
    followed; ``skip(folder, why)`` is called for other links, and for folders whose names match ``system``.
    """
    top = os.path.realpath(root)
    entered, cache = {top}, os.path.realpath(cache_folder())
    for current, subfolders, names in os.walk(root, followlinks=True, onerror=on_error):
        inside = os.path.relpath(current, root).replace(os.sep, "/")
        inside = "" if inside == "." else inside
        yield inside, subfolders, names
        here, kept = os.path.realpath(current), []
        for name in sorted(subfolders):
            linked = os.path.islink(os.path.join(current, name))  # noqa: PTH114, PTH118 - called for every folder
            target = os.path.realpath(os.path.join(current, name)) if linked else os.path.join(here, name)  # noqa: PTH118
            path = f"{inside}/{name}".lstrip("/")
            if target == cache:  # its drawn masks are no images of the user's
                skip(path, "cache of headstart")
            elif system.match(name):
                skip(path, "folder of the system")
            elif target in entered or (linked and f"{top}{os.sep}".startswith(f"{target}{os.sep}")):
                skip(path, "link to a folder that is read already")
            elif linked and target.startswith(f"{top}{os.sep}"):
                skip(path, "link to a folder that is read anyway")
            else:
                entered.add(target)
                kept.append(name)
        subfolders[:] = kept


def describe_files(tree: Tree) -> str:
    """``3 .txt files, 1 .zip files``, for errors about a folder without images."""
    count = Counter(os.path.splitext(path)[1].lower() or "no suffix" for path in (*tree.others, *tree.tables))  # noqa: PTH122
    return ", ".join(f"{n} {suffix} files" for suffix, n in count.most_common(3)) or "the folder is empty"


def own_folder(names: Iterable[str]) -> str | None:
    """What a folder with files of these names is, if headstart wrote it: its pictures are not the user's."""
    found = frozenset(names)
    return next((kind for kind, files in OWN.items() if found >= files), None)


def own_folder_at(path: Path) -> str | None:
    """As `own_folder`, of what lies at ``path``; None for a file, and for a folder that cannot be opened."""
    try:
        return own_folder(os.listdir(path))  # noqa: PTH208
    except OSError:
        return None


def refuse_own_folder(folder: Path) -> None:
    """Raise HeadstartError for images that are said to be in a run or study."""
    if (kind := own_folder_at(folder)) is not None:
        raise HeadstartError(
            f"{folder}: expected a folder of images, found a {kind}",
            f"headstart report {quoted(folder)}" if kind.startswith("run") else "the folder of its images",
        )


def _add(tree: Tree, file: str, path: str, name: str) -> None:
    """Sort one file into ``tree``."""
    if SYSTEM_FILES.match(name):
        tree.system[path] = Reason(Kind.SYSTEM, "file of the system")
    elif FOUND.match(name):
        tree.system[path] = Reason(Kind.SYSTEM, "written by headstart check")
    elif not os.path.isfile(file):  # noqa: PTH113 - a FIFO, a link to nothing: opening it could wait for ever
        why = "link to a file that is not there" if Path(file).is_symlink() else "not a regular file"
        tree.others[path] = Reason(Kind.UNREADABLE, why)
    elif os.path.splitext(name)[1].lower() in TABLE_SUFFIXES:  # noqa: PTH122
        tree.tables.append(path)
    elif is_image_file(file):
        tree.images.append(path)
    else:
        extra, suffix = extra_for(file), os.path.splitext(name)[1].lower()  # noqa: PTH122
        needs = f"needs pip install 'headstart[{extra}]'" if extra else ""
        needs = needs or ("needs converting to PNG" if suffix in UNREAD_IMAGES else "")
        tree.others[path] = Reason(Kind.UNREADABLE, needs) if needs else ORDINARY
