"""A constant a channel everywhere: what input elements get that no window touches."""

from dataclasses import dataclass

from faltung.compiler.algorithms.output import activated
from faltung.compiler.emit import Code, Int, Pointer, Program, Vector
from faltung.compiler.plan import POINTERS, Step
from faltung.compiler.problem import Problem, layout
from faltung.compiler.target import Target


@dataclass(frozen=True)
class Fill:
    """The kernel; its numbers are images, channels, height, width and the four strides.

    Attributes:
        layout: Which axis has stride 1.
        kind: Element type.
        bias: Channels get their bias, otherwise zero.
        activation: Applied to the constant.
    """

    layout: str
    kind: str
    bias: bool
    activation: str

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("fill") as code:
            images, channels, height, width = (code.argument(POINTERS + i) for i in range(4))
            strides = [code.argument(POINTERS + 4 + i) for i in range(4)]
            base = code.pointer(3, self.kind)
            bias = code.pointer(2, self.kind) if self.bias else None
            first, last = code.share(images * height)
            with code.loop(last, first) as line:
                at = base + line // height * strides[0] + line % height * strides[2]
                self._line(code, at, bias, channels, width, strides)
        return program

    def _line(
        self,
        code: Code,
        at: Pointer,
        bias: Pointer | None,
        channels: Int,
        width: Int,
        strides: list[Int],
    ) -> None:
        def constant(channel: Int) -> Vector:
            value = code.fill(0, 1) if bias is None else code.load(bias + channel, 1)
            return activated(code, value, self.activation, 1)

        if self.layout == "channels":
            with code.loop(width) as x, code.loop(channels) as c:
                code.store(constant(c), at + x * strides[3] + c)
            return
        with code.loop(channels) as c:
            value = constant(c)
            start = at + c * strides[1]
            with code.loop(width) as x:
                code.store(value, start + x * strides[3])


def filling(problem: Problem) -> Step:
    """Return the step that writes the bias, or zero, to all elements of an input gradient."""
    strides = problem.strides[2]
    spec = Fill(layout(strides), problem.kind, problem.bias, problem.activation)
    return Step(spec, (problem.images, problem.channels, *problem.size, *strides))
