"""Reading data directories: lists of identities, lists of labelled images, folders of images."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from vireid.datasets.items import Item
from vireid.files import is_litter

DIGITS = 9
"""Most digits in the number of an identity, a camera or an image."""

NOTES = (".txt", ".md", ".json", ".csv", ".xml")
"""Files that are no images, and may lie beside them."""


def number_of(text: str) -> int | None:
    """The integer, from 0, in a name or a token; None if it is not an integer."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= DIGITS else None


def check_tree(name: str, root: Path, folders: Sequence[str], files: Sequence[str]) -> None:
    """Reject a root in which folders or files are missing.

    Raises:
        FileNotFoundError: one message names all missing folders and files, and a folder that looks like the root.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{name}: the root must be a directory; {root.absolute()} is not one")
    missing = [f"{folder}/" for folder in folders if not (root / folder).is_dir()]
    missing += [file for file in files if not (root / file).is_file()]
    if missing:
        first = (folders or files)[0]
        nested = [entry.name for entry in entries(root) if (root / entry.name / first).exists()]
        hint = f" (its {nested[0]}/ has {first}: is that the root?)" if nested else ""
        raise FileNotFoundError(f"{name}: missing in {root.absolute()}: {', '.join(missing)}{hint}")


def read_identities(path: Path, *, blank: bool = False) -> tuple[int, ...]:
    """The identities of one comma-separated line, ascending; spaces, line ends and a last comma are ignored.

    Args:
        blank: whether the list may be empty.

    Raises:
        ValueError: the file is not text, or a token is not a positive integer; the message names both.
    """
    lines = _read_lines("read_identities", path)
    tokens = [token.strip() for _, line in lines for token in line.strip(", \t").split(",")]
    for token in tokens:
        if not number_of(token):
            raise ValueError(
                f"read_identities: {path.absolute()} must hold positive integers with commas between them; "
                f"got {shown(token)}"
            )
    if not tokens and not blank:
        raise ValueError(f"read_identities: {path.absolute()} must name at least one identity; it is blank")
    return tuple(sorted({int(token) for token in tokens}))


def read_labelled(path: Path) -> list[tuple[Path, int]]:
    """The (path, label) of each line `path label`: a path below the root, and an integer from 0.

    Raises:
        ValueError: the file is not text or is blank, or a line has another form; the message names file and line.
    """
    found = []
    for number, line in _read_lines("read_labelled", path):
        image, *labels = line.strip().rsplit(maxsplit=1)
        label = number_of(labels[0]) if labels else None
        if label is None:
            raise ValueError(
                f"read_labelled: {path.absolute()} must hold lines `path label`; line {number} is {shown(line)}"
            )
        if Path(image).is_absolute() or ".." in Path(image).parts:
            raise ValueError(
                f"read_labelled: {path.absolute()} must name images by their paths below the root; "
                f"line {number} is {shown(line)}"
            )
        found.append((Path(image), label))
    if not found:
        raise ValueError(f"read_labelled: {path.absolute()} must list at least one image; it is blank")
    return found


def person_of(image: Path, listed_in: Path) -> int:
    """The identity of an image `…/{identity}/{file}`: the number of its folder."""
    person = number_of(image.parent.name)
    if person is None:
        raise ValueError(
            f"read_labelled: images of {listed_in.absolute()} must lie in folders named by the number of an identity; "
            f"got {shown(str(image))}"
        )
    return person


def check_labels(labelled: Iterable[tuple[Path, int]], listed_in: Sequence[Path]) -> None:
    """Reject lists in which labels and folders of identities are not one-to-one.

    Raises:
        ValueError: names the lists and the first label or identity with two counterparts.
    """
    person_by_label: dict[int, int] = {}
    label_by_person: dict[int, int] = {}
    for image, label in labelled:
        person = person_of(image, listed_in[0])
        if (known := person_by_label.setdefault(label, person)) != person:
            clash = f"label {label} is of identity {known} and of identity {person} ({image})"
        elif (known := label_by_person.setdefault(person, label)) != label:
            clash = f"identity {person} has label {known} and label {label} ({image})"
        else:
            continue
        names = " and ".join(str(path.absolute()) for path in listed_in)
        raise ValueError(f"check_labels: one label must be one identity in {names}; {clash}")


def read_folders(folder: Path, identities: Iterable[int], *, camera: int, modality: int) -> list[Item]:
    """The images `{identity}/{picture}.jpg` below `folder`, by identity and file name; none if it does not exist.

    Folders of other identities than `identities` are ignored.

    Raises:
        ValueError: two folders with the number of one identity, or files that would be ignored; see `refuse_others`.
    """
    if not folder.is_dir():
        return []
    people: dict[int, Path] = {}
    others: list[Path] = []
    for entry in entries(folder):
        path = folder / entry.name
        if (person := number_of(entry.name)) is None or not entry.is_dir():
            others.append(path)
        elif people.setdefault(person, path) != path:
            raise ValueError(
                f"read_folders: an identity must have one folder; {path.absolute()} is also {people[person].name}"
            )
    items: list[Item] = []
    for identity in sorted(set(identities) & people.keys()):
        for entry in entries(people[identity]):
            path = people[identity] / entry.name
            if path.suffix.lower() == ".jpg" and not entry.is_dir():
                items.append(Item(path, identity, camera, modality))
            else:
                others.append(path)
    refuse_others(folder, others, "identity/image.jpg")
    return items


def refuse_others(folder: Path, others: Iterable[Path], rule: str) -> None:
    """Reject files among or below `others` in a folder that may be images, and would be ignored.

    Raises:
        ValueError: names the first of them.
    """
    files = [file for other in others for file in _files(other) if not file.name.lower().endswith(NOTES)]
    if files:
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        raise ValueError(
            f"refuse_others: images in {folder.absolute()} must be {rule}; "
            f"{files[0].relative_to(folder)}{more} would be ignored"
        )


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of a folder by name, without files that systems create."""
    return sorted((one for one in os.scandir(folder) if not is_litter(one.name)), key=lambda one: one.name)


def _files(path: Path) -> list[Path]:
    """The path if it is a file, or the files below it."""
    if not path.is_dir():
        return [path]
    return [file for entry in entries(path) for file in _files(path / entry.name)]


def shown(text: str, limit: int = 80) -> str:
    """A piece of a file for a message: on one line, and shortened."""
    return repr(text if len(text) <= limit else f"{text[:limit]}…")


def _read_lines(who: str, path: Path) -> list[tuple[int, str]]:
    """The lines of a text file that are not blank, with their numbers from 1."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{who}: {path.absolute()} must be text in UTF-8; got other bytes ({error})") from None
    if "\0" in text:
        raise ValueError(f"{who}: {path.absolute()} must be text in UTF-8; got other bytes (zeros)")
    return [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
