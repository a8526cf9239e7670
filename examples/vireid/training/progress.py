"""Console output of a run during training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text


def print_note(console: Console, text: str) -> None:
    """Print a note on a separate line."""
    console.print(f"note: {text}", soft_wrap=True, highlight=False, markup=False)


class TermsBelow(Progress):
    """A progress bar with the loss terms on lines of their own, so that they never take the bar's place."""

    terms: tuple[str, ...] = ()

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield Columns([Text(term, style="dim") for term in self.terms], padding=(0, 2))


@contextmanager
def progress_bar(console: Console, steps: int, first: int, *, enabled: bool) -> Iterator[Any]:
    """A progress bar with the loss terms by name; without a terminal, ten lines in total."""
    columns = (
        TextColumn("training"),
        BarColumn(None),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    live = console.is_terminal
    with TermsBelow(*columns, console=console, expand=True, disable=not (enabled and live)) as bar:
        task = bar.add_task("training", total=steps, completed=first, rate="")

        def advance(step: int, figures: dict[str, float], seconds: float, rows: int) -> None:
            hidden = ("lr", "gradient")
            terms = tuple(f"{name} {value:.2f}" for name, value in figures.items() if name not in hidden)
            rate = f"{rows * step / max(seconds, 1e-9):.0f} images/s"
            bar.terms = terms
            bar.update(task, completed=step, rate=rate)
            if not live and (step % max(steps // 10, 1) == 0 or step == steps):
                line = "  ".join((f"step {step}/{steps}", *terms, rate))
                console.print(line, soft_wrap=True, highlight=False)

        yield advance
