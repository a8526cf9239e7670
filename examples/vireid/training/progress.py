"""Console output of a run during training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def print_note(console: Console, text: str) -> None:
    """Print a note on a separate line."""
    console.print(f"note: {text}", soft_wrap=True, highlight=False, markup=False)


@contextmanager
def progress_bar(console: Console, steps: int, first: int, *, enabled: bool) -> Iterator[Any]:
    """A progress bar with the loss terms by name; without a terminal, ten lines in total."""
    columns = (
        TextColumn("training"),
        BarColumn(20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[terms]}"),
    )
    live = console.is_terminal
    with Progress(*columns, console=console, disable=not (enabled and live)) as bar:
        task = bar.add_task("training", total=steps, completed=first, terms="")

        def advance(step: int, figures: dict[str, float], seconds: float, rows: int) -> None:
            hidden = ("lr", "gradient")
            terms = "  ".join(f"{name} {value:.2f}" for name, value in figures.items() if name not in hidden)
            terms += f"  {rows * step / max(seconds, 1e-9):.0f} images/s"
            bar.update(task, completed=step, terms=terms)
            if not live and (step % max(steps // 10, 1) == 0 or step == steps):
                console.print(f"step {step}/{steps}  {terms}", soft_wrap=True, highlight=False)

        yield advance
