"""`rmhil infer`: run a network that is on the array."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.markup import escape
from rich.table import Table

from rmhil.cli import options
from rmhil.cli.console import output_console, print_facts, print_json
from rmhil.cli.inputs import load_numbers, save_numbers
from rmhil.cli.session import Place, free_name, session
from rmhil.errors import NotFiniteError, ShapeError
from rmhil.store import LATEST

if TYPE_CHECKING:
    import torch

    from rmhil.backend import Floats, Ints
    from rmhil.deployed import Deployed


def infer(
    ctx: typer.Context,
    inputs: Annotated[
        Path | None,
        typer.Argument(
            metavar="INPUTS.npy",
            show_default="the test samples of the workload",
            help="Inputs of the network, samples first, in the units of its training data.",
        ),
    ] = None,
    run: Annotated[
        str, typer.Option("--run", metavar="RUN", help="A run of `rmhil demo`: its directory, its name, or `latest`.")
    ] = LATEST,
    stage: Annotated[
        str | None,
        typer.Option("--stage", show_default="the last one", help="Use the adapters of this stage, e.g. unlearn."),
    ] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE.npy", help="Also write the class numbers.")] = None,
    out: options.OutDirectory = options.RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Run the network of an earlier run on its array, with the adapters of one of its stages.

    The array is taken up as the run left it: its cells are read, and none is pulsed. Without inputs of your
    own, the accuracy on the test samples of each class of the workload is shown, also of classes that the stage
    has not learnt yet or has forgotten.

    Example: rmhil infer --run latest --stage unlearn
    """
    from rmhil.adapt.evaluation import predict
    from rmhil.crossbar import Crossbar
    from rmhil.deployed import reopen_deployment

    own = None if inputs is None else load_numbers(inputs)
    place = Place(backend=None, config=None, seed=None, run=run, out=out)
    with session(ctx, place, "infer", {"inputs": inputs, "stage": stage}) as work:
        before = work.ledger.counts
        deployed = reopen_deployment(work.run, [Crossbar(work.backend, ledger=work.ledger)], stage)
        x, y = _samples(deployed, own)
        predicted = np.asarray(predict(deployed.chip, x).cpu(), dtype=np.int64)
        facts = _facts(deployed, predicted, y) | {"pulses": (work.ledger.counts - before).pulses}
        name = free_name("infer", work.run.array_names())
        work.run.save_arrays(name, predicted=predicted, **({} if y is None else {"labels": y}))
        work.step(arrays=name, **{key: value for key, value in facts.items() if key != "classes"})
    if to is not None:
        save_numbers(to, predicted)
    if as_json:
        print_json({"run": work.run.path, "provenance": work.backend.spec.provenance} | facts)
        return
    output_console().print(work.header, soft_wrap=True)
    _print(facts, work.run.path)


def _samples(deployed: Deployed, own: Floats | None) -> tuple[torch.Tensor, Ints | None]:
    """Inputs, and their classes if these are known."""
    import torch

    test = deployed.task.test
    if own is None:
        return test.x, np.asarray(test.y, dtype=np.int64)
    shape = tuple(test.x.shape[1:])
    if own.shape[1:] != shape or not len(own):
        raise ShapeError("inputs", own.shape, f"(samples, {', '.join(map(str, shape))})")
    bad = int(np.count_nonzero(~np.isfinite(own)))
    if bad:
        raise NotFiniteError("inputs", bad, own.size)
    return torch.as_tensor(own, dtype=test.x.dtype), None


def _facts(deployed: Deployed, predicted: Ints, y: Ints | None) -> dict[str, Any]:
    names = list(deployed.task.class_names)
    facts: dict[str, Any] = {"stage": deployed.stage, "adapters": deployed.adapters, "samples": len(predicted)}
    if y is None:
        return facts | {"classes": [names[number] for number in predicted]}
    right = predicted == y
    per_class = {names[number]: float(right[y == number].mean()) for number in np.unique(y)}
    return facts | {"accuracy_per_class": per_class}


def _print(facts: dict[str, Any], path: Path) -> None:
    adapters = ", ".join(facts["adapters"]) or "none"
    if "classes" in facts:
        table = Table("sample", "class", box=None, pad_edge=False)
        for number, name in enumerate(facts["classes"]):
            table.add_row(str(number), escape(name))
    else:
        table = Table("class", "accuracy", box=None, pad_edge=False)
        for name, accuracy in facts["accuracy_per_class"].items():
            table.add_row(escape(name), f"{accuracy:.1%}")
    output_console().print(table)
    shown = {"stage": facts["stage"], "adapters": adapters, "samples": f"{facts['samples']:,}"}
    print_facts("", shown | {"RM pulses": f"{facts['pulses']:,}", "run": path})
