"""The documentation agrees with the code: Python blocks run, commands and flags exist."""

from __future__ import annotations

import importlib
import re
import shlex
from functools import cache
from importlib.metadata import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import tyro
from accelerate.commands.launch import launch_command_parser
from torch.distributed.run import get_args_parser as torchrun_parser

from support.pages import PAGES, ROOT, Block, blocks, inline_code, name_of

LANGUAGES = {"python", "bash", "text", "json"}
NOT_RUN = "# not run: "
"""A Python block that starts with it, and says why, is not run."""
LAUNCHERS = {"accelerate": launch_command_parser, "torchrun": torchrun_parser}
OTHERS = {"cd", "git", *LAUNCHERS}
"""Commands of others; of these, the launchers' flags are checked where a block has them."""
SCRIPTS = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
EXTRAS = set(metadata("concordant").get_all("Provides-Extra") or ())


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name_of)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after another, in one namespace, as a reader would paste them; files go to a directory of the test's."""
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": f"page_{page.stem}"}
    for block in blocks(page, "python"):
        if not block.text.startswith(NOT_RUN):
            # With as many empty lines before it as the page has: a traceback then shows the page's own line.
            exec(compile("\n" * block.line + block.text, str(page), "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_are_of_a_language_that_is_checked(page: Path) -> None:
    assert {block.language for block in blocks(page)} <= LANGUAGES
    reasons = [block.text.splitlines()[0] for block in blocks(page, "python") if block.text.startswith(NOT_RUN)]
    assert all(len(reason) > len(NOT_RUN) + 10 for reason in reasons), "a reason, in words"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "bash")], ids=name_of)
def test_commands_exist_with_their_flags(page: Path) -> None:
    for block in blocks(page, "bash"):
        for command in commands(block):
            check(command)


def commands(block: Block) -> list[list[str]]:
    """The commands of a block, in words; without comments, and without variables that are set before a command."""
    found: list[list[str]] = []
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars="|;&")
        words.whitespace_split = True
        found.append([])
        for word in words:
            if set(word) <= set("|;&"):
                found.append([])
            elif found[-1] or not re.fullmatch(r"[A-Z_]+=\S*", word):
                found[-1].append(word)
    return [command for command in found if command]


def check(command: list[str]) -> None:
    """Fail for a command that does not exist, or does not accept its arguments."""
    name, *words = command
    if name == "make":
        assert set(words) <= TARGETS, command
    elif name == "pip":
        extras = ",".join(re.findall(r"\.\[(.+)\]", " ".join(words)))
        assert set(extras.split(",")) - {""} <= EXTRAS, command
    elif Path(name).name in ("python", "python3"):
        check_python(words)
    elif name in LAUNCHERS:
        place = next(i for i, word in enumerate(words) if word.endswith(".py"))
        known = flags_of(LAUNCHERS[name]())
        assert {word.split("=")[0] for word in words[:place] if word.startswith("-")} <= known, command
        check_python(words[place:])
    else:
        assert name in OTHERS, command


def check_python(words: list[str]) -> None:
    if words[0] == "-m":
        assert find_spec(words[1]) is not None, words
        return
    script = ROOT / words[0]
    assert script.is_file(), words
    if script.parent.name == "examples":
        tyro.cli(settings_of(script.stem), args=[word for word in words[1:] if word != "--help"])


@cache
def settings_of(script: str) -> type:
    """The class of an example's command line: the argument of its `main`."""
    (kind, *_) = get_type_hints(importlib.import_module(script).main).values()
    assert isinstance(kind, type), f"{script}: `main` takes its settings, in a class"
    return kind


def flags_of(parser: Any) -> set[str]:
    """Its flags, and those of its subcommands."""
    below = [
        choice for action in parser._actions if isinstance(action.choices, dict) for choice in action.choices.values()
    ]
    return {flag for action in parser._actions for flag in action.option_strings}.union(*map(flags_of, below))


@cache
def flags() -> set[str]:
    """All flags of all examples."""
    return set().union(*(flags_of(tyro.extras.get_parser(settings_of(script))) for script in SCRIPTS))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_code_in_the_text_is_what_there_is(page: Path) -> None:
    """Flags, targets of make, and paths of the repository, where the text speaks of them."""
    for code in inline_code(page):
        words = code.split()
        if words[0] in OTHERS:
            continue
        if words[0] == "make":
            assert set(words[1:]) <= TARGETS, code
        for flag in (word for word in words if word.startswith("--")):
            assert flag.split("=")[0] in flags(), code
        if re.fullmatch(r"(src|examples|tests|docs|benchmarks)/[\w./-]+", code) and "NAME" not in code:
            assert (ROOT / code).exists(), code
