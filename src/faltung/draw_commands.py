"""`faltung draw`: pictures of the layer, each saved as one file."""

from typing import Annotated, Any

import typer

from faltung.draw_models import COMMANDS as MODEL_COMMANDS
from faltung.draw_models import Out, saved
from faltung.matrices import parse_matrix

draw = typer.Typer(
    no_args_is_help=True,
    help="Draw how the layer works, or what a model has learned and sees. The ending of --out says "
    "the format: .svg, .pdf, .png, .webp; .gif or .html for an animation.",
)

IMAGE = "0,1,2;3,4,5;6,7,8"
KERNEL = "0,1;2,3"

Plane = Annotated[str, typer.Option("--image", help="Numbers such as 0,1,2;3,4,5;6,7,8.")]
Kernel = Annotated[str, typer.Option("--kernel", help="Numbers such as 0,1;2,3.")]
Row = Annotated[int | None, typer.Option(help="Row of the output cell, from 0.")]
Column = Annotated[int | None, typer.Option(help="Column of the output cell, from 0.")]
Stride = Annotated[str, typer.Option(help="One number, or down,across.")]
Padding = Annotated[
    str,
    typer.Option(
        help="One number; down,across; top,bottom;left,right; or valid, same, same_upper, "
        "same_lower, full."
    ),
]
Dilation = Annotated[str, typer.Option(help="One number, or down,across.")]
Flip = Annotated[bool, typer.Option("--flip", help="Strict convolution: turn the kernel.")]
Size = Annotated[str, typer.Option(help="One number, or height,width.")]
Seconds = Annotated[float, typer.Option(help="How long an animation shows a step.")]


@draw.command()
def step(
    out: Out,
    image: Plane = IMAGE,
    kernel: Kernel = KERNEL,
    row: Row = None,
    column: Column = None,
    stride: Stride = "1",
    padding: Padding = "0",
    dilation: Dilation = "1",
    flip: Flip = False,
    bias: Annotated[float, typer.Option(help="Added to every output.")] = 0.0,
    seconds: Seconds = 1.0,
) -> None:
    """Draw one step of a sliding window with its arithmetic, or all steps as .gif or .html."""
    from faltung import draw_inputs as inputs
    from faltung import pictures

    planes = (parse_matrix("--image", image), parse_matrix("--kernel", kernel))
    given: dict[str, Any] = {
        **inputs.windows(stride, padding, dilation),
        "flip": flip,
        "bias": bias,
    }
    if inputs.animated(out, row, column):
        saved(pictures.sliding_animation(*planes, **given, seconds=seconds), out)
    else:
        saved(pictures.sliding_step(*planes, row or 0, column or 0, **given), out)


@draw.command()
def pooling(
    out: Out,
    image: Plane = "0,1,2,3;4,5,6,7;8,9,10,11;12,13,14,15",
    kernel_size: Size = "2",
    kind: Annotated[str, typer.Option(help="max, avg or min.")] = "max",
    row: Row = None,
    column: Column = None,
    stride: Annotated[str | None, typer.Option(help="As the window where it is left out.")] = None,
    padding: Padding = "0",
    dilation: Dilation = "1",
    ceil: Annotated[bool, typer.Option("--ceil", help="Let a last window hang over.")] = False,
    without_padding: Annotated[
        bool, typer.Option("--without-padding", help="Means do not count padding.")
    ] = False,
    seconds: Seconds = 1.0,
) -> None:
    """Draw one step of maximum, average or minimum pooling, or all steps as .gif or .html."""
    from faltung import draw_inputs as inputs
    from faltung import pictures

    plane, size = parse_matrix("--image", image), inputs.pair("--kernel-size", kernel_size)
    given: dict[str, Any] = {
        **inputs.windows(stride or kernel_size, padding, dilation),
        "kind": kind,
        "ceil_mode": ceil,
        "count_include_pad": not without_padding,
    }
    if inputs.animated(out, row, column):
        saved(pictures.pooling_animation(plane, size, **given, seconds=seconds), out)
    else:
        saved(pictures.pooling_step(plane, size, row or 0, column or 0, **given), out)


@draw.command()
def channels(
    out: Out,
    image: Annotated[
        str, typer.Option(help="Numbers of every input channel, | between channels.")
    ] = "0,1,2;3,4,5;6,7,8|1,2,3;4,5,6;7,8,9",
    kernel: Annotated[
        list[str] | None,
        typer.Option(help="Once for each output channel: numbers, | between input channels."),
    ] = None,
    row: Annotated[int, typer.Option(help="Row of the output cells, from 0.")] = 0,
    column: Annotated[int, typer.Option(help="Column of the output cells, from 0.")] = 0,
    stride: Stride = "1",
    padding: Padding = "0",
    dilation: Dilation = "1",
    flip: Flip = False,
    bias: Annotated[str | None, typer.Option(help="A number for each output: 1,-2.")] = None,
) -> None:
    """Draw the sums over input channels, for one or several output channels."""
    from faltung import draw_inputs as inputs
    from faltung import pictures

    inputs.checked(out)
    weight = [inputs.planes("--kernel", text) for text in kernel or ["0,1;2,3|1,2;3,4"]]
    figure = pictures.channel_sums(
        inputs.planes("--image", image),
        weight,
        row,
        column,
        bias=None if bias is None else parse_matrix("--bias", bias)[0],
        flip=flip,
        **inputs.windows(stride, padding, dilation),
    )
    saved(figure, out)


@draw.command()
def geometry(
    out: Out,
    input_size: Size = "5",
    kernel_size: Size = "3",
    stride: Stride = "1",
    padding: Padding = "0",
    dilation: Dilation = "1",
    ceil: Annotated[bool, typer.Option("--ceil", help="Let a last window hang over.")] = False,
) -> None:
    """Draw input, padding, window, stride and output as grids."""
    from faltung import draw_inputs as inputs
    from faltung import pictures

    inputs.checked(out)
    sizes = (inputs.pair("--input-size", input_size), inputs.pair("--kernel-size", kernel_size))
    windows = inputs.windows(stride, padding, dilation)
    saved(pictures.geometry(*sizes, **windows, ceil_mode=ceil), out)


@draw.command()
def matrix(
    out: Out,
    image: Plane = IMAGE,
    kernel: Kernel = KERNEL,
    stride: Stride = "1",
    padding: Padding = "0",
    dilation: Dilation = "1",
    flip: Flip = False,
) -> None:
    """Draw a convolution as its matrix, beside the fully connected one."""
    from faltung import draw_inputs as inputs
    from faltung import pictures

    inputs.checked(out)
    planes = (parse_matrix("--image", image), parse_matrix("--kernel", kernel))
    windows = inputs.windows(stride, padding, dilation)
    saved(pictures.convolution_matrix(*planes, **windows, flip=flip), out)


@draw.command()
def connections(
    out: Out,
    image_size: Size = "1000",
    kernel_size: Size = "40,25",
    stride: Annotated[str | None, typer.Option(help="As the window where it is left out.")] = None,
    padding: Padding = "0",
    in_channels: Annotated[int, typer.Option(help="Channels of the image.")] = 1,
    out_channels: Annotated[int, typer.Option(help="Channels of the output.")] = 1,
) -> None:
    """Draw the way from a dense layer to a convolution, with the weights each step takes."""
    from faltung import draw_inputs as inputs
    from faltung import pictures

    inputs.checked(out)
    figure = pictures.connections(
        inputs.pair("--image-size", image_size),
        inputs.pair("--kernel-size", kernel_size),
        stride=inputs.pair("--stride", stride or kernel_size),
        padding=inputs.padding_of(padding),
        in_channels=in_channels,
        out_channels=out_channels,
    )
    saved(figure, out)


for command in MODEL_COMMANDS:
    draw.command()(command)
