"""Dense weights brought into the order in which register tiles read them; see `weights`.

Which image they meet does not matter: the same weights are packed once for all sizes of image.
"""

from dataclasses import dataclass

from faltung.compiler.algorithms import weights
from faltung.compiler.algorithms.argument_block import FLAGS, read_arguments, rounded
from faltung.compiler.algorithms.runs import run_of
from faltung.compiler.algorithms.winograd_input import judge
from faltung.compiler.emit import Code, Program
from faltung.compiler.plan import Step
from faltung.compiler.target import Target

TENSORS = ("source", "weights", "bias", "target")
SIZES = (
    "first", "groups", "outputs", "channels", "rows", "columns", "block",
    "weight_group", "weight_output", "weight_channel", "weight_row", "weight_column",
    "weight_offset", "run_length", "run_first", "run_rows", "run_columns", "run_channels",
    "private",
)  # fmt: skip


@dataclass(frozen=True)
class Pack:
    """What the kernel is specialised on.

    Attributes:
        kind: Element type of the weights.
        width: Outputs of a tile.
        woven: Channels of the small groups that share a vector, or 0.
        judged: Weights that are not finite, or beyond `winograd_input.LARGEST`, raise a flag.
    """

    kind: str
    width: int
    woven: int
    judged: bool

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("pack") as code:
            a = read_arguments(code, self.kind, TENSORS, SIZES)
            strides = weights.Strides(
                a.weight_group, a.weight_output, a.weight_channel, a.weight_row, a.weight_column
            )
            origin, to = a.weights + a.weight_offset, a.prepared + a.first
            window = (a.rows, a.columns)
            packing = weights.Packing(a.outputs, a.channels, window, a.block, self.width)
            if self.woven:
                weights.pack_woven(code, packing, a.groups, self.woven, origin, strides, to)
            else:
                run = weights.Run(
                    a.run_length, a.run_first, a.run_rows, a.run_columns, a.run_channels
                )
                before = FLAGS if self.judged else 0
                table = (a.workspace + before + code.thread * a.private).cast("i64")
                weights.pack(code, packing, a.groups, origin, strides, run, to, table)
        if self.judged:
            with program.region("judge") as code:
                self._judge(code)
        return program

    def _judge(self, code: Code) -> None:
        a = read_arguments(code, self.kind, TENSORS, SIZES)
        packing = weights.Packing(a.outputs, a.channels, (a.rows, a.columns), a.block, self.width)
        first, last = code.share(a.groups * packing.group // code.lanes)
        worst = code.variable(code.fill(0))
        with code.loop(last, first) as i:
            at = a.prepared + a.first + i * code.lanes
            worst.set(code.largest(worst.get(), code.load(at)))
        judge(code, a, worst)


def step(
    packing: weights.Packing,
    groups: int,
    strides: tuple[int, int, int, int, int, int],
    first: int,
    kind: str,
    woven: int,
    judged: bool = False,
) -> tuple[Step, int]:
    """Return the call that packs weights, and the float32 elements of workspace of a thread.

    Args:
        packing: Sizes of the packed weights.
        groups: How many groups.
        strides: Elements from one group, output, channel, row and column to the next, and offset.
        first: Where they begin in the prepared weights, in float32 elements.
        kind: Element type of the weights.
        woven: Channels of the small groups that share a vector, or 0.
        judged: See `Pack`.
    """
    run = run_of(packing.block, packing.window, *strides[2:5])
    private = rounded(2 * run[0])
    numbers = (
        first, groups, packing.outputs, packing.channels, *packing.window, packing.block,
        *strides, *run, private,
    )  # fmt: skip
    return Step(Pack(kind, packing.width, woven, judged), numbers, guards=judged), private
