"""Find the image that a row of a table names: with or without folders and suffix, in any case, with either slash."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from headstart.data.index import splits_named


class Locator:
    """The images below a folder by their names."""

    def __init__(self, root: Path, images: Sequence[str]) -> None:
        self._above = f"{Path(os.path.realpath(root)).as_posix()}/"
        self._by_name: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        self._by_path = {path.casefold(): path for path in images}
        for path in images:
            name = path.rpartition("/")[2].casefold()
            self._by_name.setdefault(name, []).append(path)
            self._by_stem.setdefault(name.rpartition(".")[0] or name, []).append(path)

    def find(self, listed: str, table: str) -> list[str]:
        """The images that ``listed`` may mean, in ``table``, a path relative to the root: none, one, or several.

        The folders of the listed path must be the image's own, as far as both name any. Of several images those count
        that lie beside the table, in a folder of its name, of its split, or in ``images/``.
        """
        parts = _parts(listed.removeprefix(self._above))
        if not parts:
            return []
        if len(parts) > 1:  # as a whole path, without a look at all files of this name
            inside = "/".join(parts).casefold()
            beside = f"{PurePosixPath(table).parent.as_posix()}/{inside}".removeprefix("./").casefold()
            if path := self._by_path.get(beside) or self._by_path.get(inside):
                return [path]
        name = parts[-1].casefold()
        named = self._by_name.get(name) or self._by_stem.get(name, [])
        matches = [path for path in named if _same_folders(path, parts)]
        if len(matches) > 1:
            exact = [path for path in matches if path.split("/")[:-1] == parts[:-1]]
            matches = exact if len(parts) > 1 and exact else _nearest(matches, table, parts[:-1])
        return matches


def _parts(listed: str) -> list[str]:
    return [part for part in listed.strip().replace("\\", "/").split("/") if part not in ("", ".")]


def _same_folders(path: str, parts: Sequence[str]) -> bool:
    """Whether the folders of the shorter path are the last folders of the longer one."""
    own, given = path.split("/")[-2::-1], parts[-2::-1]
    return all(one.casefold() == other.casefold() for one, other in zip(own, given, strict=False))


def _nearest(paths: list[str], table: str, given: Sequence[str]) -> list[str]:
    beside, stem = str(PurePosixPath(table).parent), PurePosixPath(table).stem
    prefix = "" if beside == "." else f"{beside}/"
    inside = "/".join(given)
    for folder in (inside, stem, f"images/{inside}".rstrip("/"), "images"):
        place = f"{prefix}{folder}".rstrip("/")
        found = [path for path in paths if path.rpartition("/")[0] == place]
        if found:
            return found
    folders = {path: path.removeprefix(prefix).split("/")[:-1] for path in paths}
    split_of = splits_named([stem, *(folder for some in folders.values() for folder in some)])
    wanted = split_of[stem]
    of_path = {path: next((split_of[f] for f in some if split_of[f]), None) for path, some in folders.items()}
    same = [path for path in paths if wanted and of_path[path] == wanted]
    # A table of labels is not about the images of a test set.
    return same or [path for path in paths if of_path[path] != "test" or wanted == "test"] or paths
