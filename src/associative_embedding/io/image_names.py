"""Finds the files of a folder by names that another system or machine wrote."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from associative_embedding.io.console import Notes, remark
from associative_embedding.io.files import utf8_name

Parts = tuple[str, ...]

MAX_PARTS = 50  # folders at the beginning of a name that may be taken off


def find_named(folder: str | Path, names: Iterable[str], where: str) -> dict[str, str]:
    """Returns name -> name in the folder, for the names of files that are there under another spelling.

    - Windows separates folders by a backslash.
    - macOS writes accents as letters of their own (NFD), other systems mostly do not (NFC).
    - Upper and lower case may differ where only one file fits; a line says so.
    - All names may begin with one folder more: the folder itself (``images/1.png``), or any folder of another machine
      (``/home/me/1.png``, ``C:\\1.png``). A line says which one is taken off.

    Args:
        folder: the folder of images; nothing outside of it is found.
        names: names that have no file in the folder as they are.
        where: the source of the names, for the lines.
    """
    parts = {name: parts_of(name) for name in names}
    files = Spellings(folder)
    found = files.find_all(parts)
    lost = {name: own for name, own in parts.items() if name not in found}
    if prefix := shared_prefix(files, lost):
        without = files.find_all({name: own[len(prefix) :] for name, own in lost.items()})
        remark(
            f"{where}: {PurePosixPath(*prefix)}/ is taken off the names of {len(without)} images, which are in {folder}"
        )
        found |= without
    notes = Notes(where)
    for name, real in found.items():
        if not same_case(name, real):
            notes.add("the file has another case", "image", f"{name} is {real}")
    notes.say()
    return found


def parts_of(name: str) -> Parts:
    """Returns the folders and the file of a name of any system; an absolute one begins with ``/`` or a drive."""
    return PurePosixPath(name.replace("\\", "/")).parts


class Spellings:
    """The names of files in a folder, which is listed once, and each of its folders where a name leads into it.

    Args:
        folder: the folder of images.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = folder
        self.listed: dict[Parts, dict[str, list[str]]] = {}  # folder -> spelling without case -> names

    def find(self, parts: Parts) -> str:
        """Returns the name of a file in its own spelling; empty if no file, or more than one, fits."""
        real: Parts = ()
        for part in parts:
            fitting = self.entries(real).get(alike(part), [])
            if part not in fitting and len(fitting) != 1:
                return ""
            real = (*real, part if part in fitting else fitting[0])
        return "/".join(real) if os.path.isfile(os.path.join(self.folder, *real)) else ""

    def find_all(self, names: Mapping[str, Parts]) -> dict[str, str]:
        """Returns name -> name in the folder, without those that it does not have."""
        return {name: real for name, parts in names.items() if (real := self.find(parts))}

    def entries(self, folder: Parts) -> dict[str, list[str]]:
        """Returns spelling without case and accents -> names in a folder inside; empty for what is no folder."""
        if folder not in self.listed:
            found: dict[str, list[str]] = {}
            path = os.path.join(self.folder, *folder)
            for name in os.listdir(path) if os.path.isdir(path) else ():
                found.setdefault(alike(name), []).append(name)
            self.listed[folder] = found
        return self.listed[folder]


def alike(name: str) -> str:
    """Returns a text that is equal for names that differ in case, or in how accents or bytes are written."""
    return unicodedata.normalize("NFC", utf8_name(name)).casefold()


def same_case(name: str, real: str) -> bool:
    """Whether two names end alike when accents are written in one way."""
    a, b = (unicodedata.normalize("NFC", text.replace("\\", "/")) for text in (name, real))
    return a.endswith(b)


# ---- one folder too many


def shared_prefix(files: Spellings, names: Mapping[str, Parts]) -> Parts:
    """Returns the folders to take off all names, as few as possible; empty if they share none.

    All of them: with a folder for each name, ``day1/1.png`` and ``day2/1.png`` would become one image.
    """
    first = next(iter(names.values()), ())
    for count in range(1, min(len(first), MAX_PARTS)):
        prefix = first[:count]
        if may_go(prefix, files.folder) and files.find(first[count:]):
            return prefix if all(own[:count] == prefix for own in names.values()) else ()
    return ()


def may_go(prefix: Parts, folder: str | Path) -> bool:
    """Whether the folders before a name may mean the folder of images.

    A relative name with another folder's name rather means that the wrong folder of images was given.
    """
    absolute = prefix[0].startswith("/") or prefix[0].endswith(":")
    return (absolute and len(prefix) > 1) or alike(prefix[-1]) == alike(os.path.basename(os.path.abspath(folder)))
