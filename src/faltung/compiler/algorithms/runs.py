"""Which weights of a tensor lie side by side: what packing and unpacking walk over.

A run is given by five numbers: its length, the distance of its first element from the first tap of
the first channel, and the rows of taps, columns of taps and channels to walk over.
"""

Run = tuple[int, int, int, int, int]


def run_of(block: int, window: tuple[int, int], channel: int, row: int, column: int) -> Run:
    """Find the longest run, for strides of channels and taps.

    The longest of: all taps of a block of channels, all taps of a channel, a block of channels of
    a tap; where nothing does, a run of one element.
    """
    rows, columns = window
    axes = {"row": (rows, row), "column": (columns, column), "channel": (block, channel)}
    for inside in (("row", "column", "channel"), ("row", "column"), ("channel",)):
        length = 1
        for size, stride in sorted((axes[name] for name in inside), key=lambda a: abs(a[1])):
            if size > 1 and abs(stride) != length:
                break
            length *= size
        else:
            first = sum((n - 1) * s for n, s in (axes[name] for name in inside) if s < 0)
            walk = (1 if name in inside else axes[name][0] for name in axes)
            return (length, first, *walk)  # type: ignore[return-value]
    return 1, 0, rows, columns, block


def gathered(block: int, window: tuple[int, int], strides: tuple[int, int, int], lanes: int) -> Run:
    """Find the longest run; runs shorter than a vector are taken element by element."""
    run = run_of(block, window, *strides)
    return run if run[0] >= lanes else (1, 0, *window, block)
