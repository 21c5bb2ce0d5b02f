"""Issues of how a folder was read: what its reader notes, and every file that it does not use."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence

from headstart.data.checks.issues import Issue, Severity, count
from headstart.data.formats import is_image_file
from headstart.data.index import Index
from headstart.data.unused import Kind, Reason

TABLES = (".csv", ".tsv")


def check_notes(index: Index) -> Iterator[Issue]:
    """What the reader of the folder has to say: where labels come from, folders without images, names alike."""
    for note in index.notes:
        yield Issue(note.kind, note.severity, note.message, note.files, note.fix)


def check_unused(index: Index) -> Iterator[Issue]:
    """Every file and folder below the root that is not read, by why it is not."""
    system = [path for path, why in index.unused if why.kind == Kind.SYSTEM]
    unreadable = [each for each in index.unused if each[1].kind == Kind.UNREADABLE]
    fix = "install what reads them, or convert them to PNG"
    yield from _unused("not readable", "warning", "file", unreadable, fix)
    readable = [each for each in index.unused if each[1].kind not in (Kind.SYSTEM, Kind.UNREADABLE)]
    is_image = {path: is_image_file(index.root / path) for path, _ in readable}
    images = [each for each in readable if is_image[each[0]]]
    unlisted = [each for each in images if each[1].kind != Kind.WAITING]
    yield from _unused("unlisted", "warning", "image", unlisted, "add rows or folders for them, or move them elsewhere")
    waiting = [each for each in images if each[1].kind == Kind.WAITING]
    yield from _unused("waiting", "note", "image", waiting, "")
    others = [each for each in readable if not is_image[each[0]]]
    tables = [each for each in others if each[0].lower().endswith(TABLES)]
    yield from _unused("tables", "note", "table", tables, "one of them has the labels? headstart check TABLE")
    rest = [each for each in others if not each[0].lower().endswith(TABLES)]
    yield from _unused("unused files", "note", "file", rest, "images in other formats? convert them to JPEG or PNG")
    if system:
        message = f"{count(len(system), 'file')} and folders of the system, of headstart or hidden: not read"
        yield Issue("system files", "note", message, tuple(system))


def _unused(kind: str, severity: Severity, noun: str, files: Sequence[tuple[str, Reason]], fix: str) -> Iterator[Issue]:
    if not files:
        return
    reasons = Counter(why.words for _, why in files if why.words)
    suffixes = Counter(os.path.splitext(path)[1].lower() or "no suffix" for path, _ in files)  # noqa: PTH122
    why = ", ".join(f"{what} ({number:,})" if len(reasons) > 1 else what for what, number in reasons.most_common(3))
    kinds = ", ".join(f"{number:,} {suffix}" for suffix, number in suffixes.most_common(3))
    message = f"{count(len(files), noun)} not used: {why or kinds}"
    yield Issue(kind, severity, message, tuple(path for path, _ in files), fix)
