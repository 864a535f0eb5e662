"""Our kernels against the definition in float64, on the machine where they are to run.

Every algorithm computes every operation and direction that it takes, with each instruction set this
CPU has, on ragged problems: with integers, where no bit may differ (except of guarded plans, which
transform the numbers before they multiply), and with random numbers, where only rounding may.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from faltung.accuracy import PRECISIONS
from faltung.compiler import machine, planner
from faltung.compiler.call import ready
from faltung.compiler.plan import Algorithm
from faltung.compiler.problem import DIRECTIONS, OPERATIONS, Problem, parse
from faltung.compiler.target import Target, pretending
from faltung.definition import wrong
from faltung.errors import ArgumentError
from faltung.operands import Shape, operands
from faltung.ops import ours
from faltung.settings import LEVELS

PIECE = 12  # problems for an algorithm, direction and instruction set
MEAN = 720_720  # divided by any number up to 16 it is whole

CONVOLUTIONS = (
    "ic3ih9iw14oc5kh3kw2ph1pb0sh2sw1 rows",
    "mb2ic17ih8oc9kh3ph1 channels bias",
    "ic33ih12iw7oc40kh1 rows channels",
    "mb3ic4ih13iw11oc19kh5ph2sh3 channels flip",
    "mb2g3ic6ih10oc9kh3pw1dh2 rows bias flip",
    "ic1ih20iw23oc1kh7ph3sh2 rows",
    "mb2g2ic34ih7oc6kh2kw4ph2pr3 channels rows",
    "ic5ih6iw31oc70kh1sh2 channels bias",
    "ic32ih17oc40kh3ph1 rows bias",
    "mb2ic10ih9oc7kh3ph1sh2 rows bf16 bias",
    "ic130ih5iw6oc8kh3ph2pw0dh2dw1 channels",
    "mb2ic32ih11iw10oc33kh3ph1 channels bf16",
    "mb2ic48ih12iw13oc32kh3ph1 channels bias",
    "mb3ic64ih10iw11oc64kh3ph2pb0 rows",
    "ic32ih31iw9oc70kh3ph1 rows channels flip",
    "ic64ih15iw14oc64kh3 channels rows bias",
    "mb2ic64ih11oc32kh3pw1 rows bias flip",
    "ic32ih40oc96kh3ph1 channels",
    "mb2ic48ih30oc40kh3ph1 rows bias",
    "mb2ic32ih17oc48kh3ph2dh2 channels bias",
    "mb2ic32ih18oc32kh4ph1sh2 channels bias",
    "ic32ih14oc40kh5ph2 rows bias",
    "mb2ic64ih15oc32kh5 channels",
    "mb2ic3ih20iw63oc36kh3ph1sh2 rows bias",
    "mb2ic40ih8oc48kh1 rows bias",
    "g2ic64ih9iw32oc8kh3ph1 rows flip",
    "g5ic5ih9iw14oc5kh3ph1 rows",
    "mb2g19ic19ih8oc19kh3ph1 channels bias",
    "g6ic6ih12iw7oc12kh2kw3ph1sh2 rows bias",
    "g40ic40ih11iw9oc40kh5ph2sh2 channels",
    "mb3g3ic3ih13oc6kh3pw1dh2 channels rows flip",
    "g7ic7ih20iw33oc7kh7ph3 rows bias flip",
    "mb2g33ic33ih7iw6oc33kh3ph2pr1sh2sw1 channels bias",
    "g2ic2ih6iw50oc2kh1kw9pw4 rows channels",
    "g64ic64ih28oc64kh3ph1 channels",
    "g9ic9ih15oc9kh3ph1sh3 rows bf16 bias",
    "g12ic12ih9iw8oc24kh3ph1dh2 rows",
    "mb2g18ic18ih9oc18kh3ph1sh2 channels bf16",
)
POOLS = (
    "mb2ic3ih9iw14kh3sh2ph1 rows indices",
    "mb2ic19ih8kh2sh2 channels",
    "ic1ih7iw40kh3ph1 rows",
    "ic37ih11iw9kh3sh2ph1 channels indices",
    "mb3ic5ih12iw7kh2kw3sh3sw1 rows channels",
    "ic8ih10kh4sh1ph2 rows indices",
    "mb2ic16ih13kh3ph1pb0 channels indices",
    "ic2ih5iw6kh5ph2 rows",
    "ic66ih6kh2sh2 channels",
    "mb2ic4ih17iw19kh2sh3ph1 channels rows indices",
    "ic6ih28kh3sh2 rows indices",
    "mb4ic3ih4iw3kh1sh2 rows",
)


@dataclass(frozen=True)
class Piece:
    """One algorithm, operation, direction and instruction set, with the problems it takes."""

    algorithm: Algorithm
    target: Target
    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        """Return what is checked as one line."""
        one = self.problems[0]
        words = f"{one.operation} {one.direction}"
        if one.precision != "highest":
            words += f" {one.precision}"
        return f"{self.algorithm.NAME:<24} {words:<18} {self.target.level:<9}"


def check(report: Callable[[str], object] = print, seconds: float = 60) -> bool:
    """Compare every kernel of this library with the definition, on this machine.

    Args:
        report: Gets a line for each algorithm, direction and instruction set.
        seconds: What it may take, about. Every line gets its part of the time, and at least one
            problem; it says how many there was time for.

    Returns:
        Whether nothing was wrong.

    Raises:
        ArgumentError: There is no time.
    """
    if not seconds > 0:
        raise ArgumentError(f"seconds is {seconds}: it must be more than 0")
    pieces, began, healthy = list(_pieces()), time.perf_counter(), True
    for place, piece in enumerate(pieces, start=1):
        done, failure = 0, None
        for problem in piece.problems:
            if done and time.perf_counter() - began > seconds * place / len(pieces):
                break
            failure = _failure(piece, problem)
            if failure is not None:
                break
            done += 1
        healthy = healthy and failure is None
        verdict = f"ok, {done} problems"
        if failure is not None:
            verdict = f"FAILED {failure}"
        elif done < len(piece.problems):
            verdict = f"ok, {done} of {len(piece.problems)} problems; then the time was up"
        report(f"{piece} {verdict}")
    return healthy


def levels() -> list[Target]:
    """Return this CPU, and as it pretends to be with each lesser instruction set it has."""
    host = machine.host()
    return [pretending(host, level) for level in LEVELS[LEVELS.index(host.level) :]]


def _pieces() -> Iterator[Piece]:
    for algorithm in planner.ALGORITHMS:
        for operation in OPERATIONS:
            for direction in DIRECTIONS:
                for target in levels():
                    for precision in PRECISIONS:
                        asked = (
                            replace(problem, precision=precision)
                            for problem in _problems(operation, direction)
                        )
                        taken = [p for p in asked if _concerns(algorithm, p, target)]
                        if taken:
                            yield Piece(algorithm, target, tuple(taken[:PIECE]))


def _concerns(algorithm: Algorithm, problem: Problem, target: Target) -> bool:
    """Say whether an algorithm takes a problem, and with other kernels than in more precision."""
    if algorithm.refuses(problem, target) is not None:
        return False
    more = PRECISIONS[: PRECISIONS.index(problem.precision)]
    others = [replace(problem, precision=precision) for precision in more]
    others = [other for other in others if algorithm.refuses(other, target) is None]
    try:
        now, *then = (algorithm.plans(p, target, 1)[0].steps for p in (problem, *others))
    except Exception:
        return True  # and the check says what was raised
    return all(now != steps for steps in then)


def _problems(operation: str, direction: str) -> Iterator[Problem]:
    if operation == "conv":
        for text in CONVOLUTIONS:
            yield parse(f"conv {direction} {text}")
    elif direction != "weight":
        for place, text in enumerate(POOLS):
            problem = parse(f"{operation} {direction} {text}")
            if operation == "avg":
                divisor = 3 if place % 4 == 3 else 0
                count = place % 2 == 0
                problem = replace(problem, divisor=divisor, count_padding=count, indices=False)
            yield problem


def _failure(piece: Piece, problem: Problem) -> str | None:
    """Return the problem and what was wrong with it, or None.

    Whatever one kernel raises must not end the check of the others.
    """
    random = torch.Generator().manual_seed(0)

    def integers(shape: Shape) -> Tensor:
        drawn = torch.randint(-4, 5, shape, generator=random).float()
        return drawn * MEAN if problem.operation == "avg" else drawn

    def normal(shape: Shape) -> Tensor:
        return torch.randn(shape, generator=random)

    try:
        plan = piece.algorithm.plans(problem, piece.target, ours.threads())[0]
        call = ready(plan, piece.target)
        for draw in (integers, normal):
            given = operands(problem, draw)
            ours.run(call, *given.addresses)
            exact = problem.operation != "conv" or plan.exact
            fault = wrong(problem, given, exact=draw is integers and exact)
            if fault is not None:
                return f"{problem}: {fault} ({draw.__name__})"
    except Exception as error:
        return f"{problem}: {type(error).__name__}: {error}".splitlines()[0]
    return None
