"""A step captured as one CUDA graph: all its kernels are launched together. Where that fails, it runs as it is.

A graph reads and writes the same memory each time. Batches are therefore copied to buffers, and there is a graph for
each shape of a batch: the views of a batch are drawn, and how many of them have which modality.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from vireid.config import Settings
from vireid.datasets.batches import Batch
from vireid.files import reason_of
from vireid.training.step import Figures, State, compute

Run = Callable[[Iterable[Batch]], Figures]
Record = Callable[[Callable[[], Figures]], Callable[[], Figures]]
"""Captures a call; what it returns runs it again, on what is then in the same memory."""

PATIENCE = 180
"""Seconds after which a capture has hung."""


def captures(settings: Settings, accelerator: Accelerator) -> bool:
    """Whether steps are captured: where the settings ask for it, and the device and the number of processes can."""
    able = accelerator.device.type == "cuda" and accelerator.num_processes == 1 and settings.optim.accumulate == 1
    return able and settings.compile in ("auto", "graph")


@contextmanager
def captured(state: State, note: Callable[[str], object]) -> Iterator[Run]:
    """`compute` of a state, compiled or captured where the settings ask for it and the device can."""
    run, way = partial(compute, state), state.settings.compile
    if captures(state.settings, state.accelerator):
        # Graphs cannot be captured on the default stream; what runs before them shares theirs.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            yield Static(run, record_on_gpu(state.batches.generator), partial(remember, state), note)
        return
    if way == "graph":
        note("the step is not captured as a graph: that needs a GPU, one process, and `accumulate` 1")
    with forgiving(note) if way == "default" else nullcontext():
        yield run


class Static:
    """A step on buffers: at a shape's first batch it runs as it is, at the second it is recorded.

    Args:
        run: the step.
        record: captures a call of it.
        remember: called before a capture; what it returns undoes what a failed one has left behind.
        note: prints a line that says why a capture failed; from then on steps run as they are.
    """

    def __init__(
        self, run: Run, record: Record, remember: Callable[[], Callable[[], object]], note: Callable[[str], object]
    ) -> None:
        self.run, self.record, self.remember, self.note = run, record, remember, note
        self.works = True
        self.buffers: dict[Any, list[torch.Tensor]] = {}
        self.replays: dict[Any, Callable[[], Figures]] = {}

    def __call__(self, batches: Iterable[Batch]) -> Figures:
        if not self.works:
            return self.run(batches)
        (batch,) = batches
        leaves, spec = tree_flatten([part for part in batch if part is not None])
        shapes = (spec, tuple(leaf.shape for leaf in leaves))
        if shapes not in self.buffers:
            self.buffers[shapes] = []
            return self.run([batch])
        if shapes not in self.replays:
            self.buffers[shapes] = [leaf.clone() for leaf in leaves]
            again, undo = Batch(*tree_unflatten(self.buffers[shapes], spec)), self.remember()
            try:
                with patience(PATIENCE):
                    self.replays[shapes] = self.record(lambda: self.run([again]))
            except Exception as error:  # one that has another cause comes again
                self.works = False
                self.buffers, self.replays = {}, {}
                self.note(f"steps run one by one: the step could not be captured as a graph; {reason_of(error)}")
                undo()
                return self.run([batch])
        for buffer, leaf in zip(self.buffers[shapes], leaves, strict=True):
            buffer.copy_(leaf)
        return self.replays[shapes]()


def record_on_gpu(generator: torch.Generator) -> Record:
    """Captures calls on the current stream, whose random numbers are torch's and those of a generator."""
    pool = torch.cuda.graph_pool_handle()

    def record(call: Callable[[], Figures]) -> Callable[[], Figures]:
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(generator)
        with torch.cuda.graph(graph, pool=pool, stream=torch.cuda.current_stream()):
            figures = call()

        def replay() -> Figures:
            graph.replay()
            return figures

        return replay

    return record


def remember(state: State) -> Callable[[], None]:
    """How to undo what a failed capture leaves behind: in Python, and of what has run.

    The copies are on the host: the GPU may have no room for them.
    """
    kept, device = {"model": state.model} | state.kept, state.accelerator.device
    saved = {
        name: tree_map(lambda x: x.to("cpu", copy=True) if isinstance(x, Tensor) else x, one.state_dict())
        for name, one in kept.items()
    }
    generators = [state.batches.generator, torch.default_generator]
    if device.type == "cuda":
        generators.append(torch.cuda.default_generators[torch.cuda.current_device()])
    places = [generator.get_state() for generator in generators]

    def undo() -> None:
        for name, one in kept.items():
            one.load_state_dict(saved[name])
        state.optimizer.zero_grad()
        state.accelerator.step = 0
        if state.accelerator.scaler is not None:
            state.accelerator.scaler._per_optimizer_states.clear()
        for generator, place in zip(generators, places, strict=True):
            if generator.device.type == "cuda":  # it may still believe that it is captured
                generator.graphsafe_set_state(torch.Generator(device).graphsafe_get_state())
            generator.set_state(place)

    return undo


@contextmanager
def forgiving(note: Callable[[str], object]) -> Iterator[None]:
    """What cannot be compiled runs as it is. It has not begun by then; a line says why, once."""
    said: list[str] = []

    def say(record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or not record.exc_info or record.exc_info[1] is None:
            return True
        if not said:
            said.append(f"some of the step is not compiled, and runs as it is; {reason_of(record.exc_info[1])}")
            note(said[0])
        return False

    log = logging.getLogger("torch._dynamo.convert_frame")
    log.addFilter(say)
    try:
        with torch._dynamo.config.patch(suppress_errors=True):
            yield
    finally:
        log.removeFilter(say)


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Raise a TimeoutError if the block takes longer: between two lines of Python, and where there are such signals."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"it took longer than {seconds:g} seconds")

    former = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
