"""Commands about kernels: which runs and why, whether they are right, how fast, which is best."""

from pathlib import Path
from typing import Annotated, Any

import typer


def why(
    text: Annotated[
        list[str], typer.Argument(help="Such as ic64ih56oc64kh3ph1, or max ic64ih112kh3sh2ph1.")
    ],
    measure: Annotated[bool, typer.Option("--measure", help="Also measure the time.")] = False,
) -> None:
    """Say which kernel runs for a problem, and why the others do not."""
    from faltung.explain import why as explained

    typer.echo(str(explained(" ".join(text), measured=measure)))


def selfcheck(
    seconds: Annotated[float, typer.Option(help="What it may take, about.")] = 60,
) -> int:
    """Compare the kernels with the definition, on this machine."""
    from faltung.selfcheck import check

    right = check(typer.echo, seconds)
    typer.echo("nothing was wrong" if right else "some kernels are wrong: see FAILED above")
    return 0 if right else 1


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove the kernels.")] = False,
) -> int:
    """Say what lies in the store of compiled kernels."""
    from faltung.compiler.kernel import store

    kept = store()
    typer.echo(f"folder   {kept.folder}")
    if clear:
        typer.echo(f"removed  {kept.clear()} kernels")
    else:
        found = kept.entries()
        size = sum(entry.size for entry in found)
        current = sum(entry.current for entry in found)
        typer.echo(f"kernels  {len(found)}, {current} of them of this version")
        typer.echo(f"bytes    {size:,} of at most {kept.limit:,}")
    if kept.trouble is not None:
        typer.echo(f"trouble: {kept.trouble}", err=True)
        return 1
    return 0


def bench(
    networks: Annotated[
        bool, typer.Option("--networks", help="Whole networks, beside torch, instead of layers.")
    ] = False,
    batch: Annotated[
        str | None, typer.Option(help="Images of a call of a network; 1,16 if not given.")
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Of networks: steps of training, not the forward.")
    ] = False,
    match: Annotated[
        str, typer.Option(help="Only problems or networks in which this expression is.")
    ] = "",
    groups: Annotated[str | None, typer.Option(help="Of dense,special,pools.")] = None,
    directions: Annotated[str | None, typer.Option(help="Of forward,input,weight.")] = None,
    peers: Annotated[
        str | None,
        typer.Option(help="Of torch,compile,onnxruntime,openvino,jax; all but compile."),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of everybody.")] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="What float32 means: highest, high or medium; if not given, as it is."),
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Of all tensors: float32 (if not given) or bfloat16.")
    ] = None,
    rounds: Annotated[int | None, typer.Option(help="Samples of each candidate.")] = None,
    seconds: Annotated[float | None, typer.Option(help="No round of a line starts later.")] = None,
    csv: Annotated[Path | None, typer.Option(help="File for all results.")] = None,
    picture: Annotated[Path | None, typer.Option(help="File for a picture, .png or .svg.")] = None,
) -> int:
    """Time our kernels and those of other libraries on a list of layers.

    With --networks: the forward of LeNet-5, ResNet-50, VGG-16, MobileNet v2
    and a U-Net in eager torch, with faltung.enabled() and without. About 4
    minutes on 2 slow cores: of a line no round starts after --seconds (5),
    but 3 do in any case, which for 16 images is what takes long. The very
    first run also makes the kernels, a minute or two more. --batch 1 takes
    one minute, and --match VGG leaves out the others. With --train, too:
    forward and the gradients of all parameters, in four times as long.
    """
    import torch

    from faltung.bench.options import in_precision
    from faltung.bench.run import main
    from faltung.compiler.peak import peak
    from faltung.errors import ArgumentError

    team = threads or torch.get_num_threads()
    numbers = {"rounds": rounds, "seconds": seconds}
    lists = {"groups": groups, "directions": directions, "peers": peers}
    given: dict[str, Any] = {name: number for name, number in numbers.items() if number is not None}
    given |= {"match": match, "threads": threads, "csv": csv, "peak": lambda: peak(team)}
    of_layers: dict[str, Any] = {
        name: text.split(",") for name, text in lists.items() if text is not None
    }
    if dtype is not None:
        of_layers["dtype"] = dtype
    if networks:
        given["training"] = train
        with in_precision(precision):
            return _bench_networks(batch, [*of_layers, *(["picture"] if picture else [])], given)
    if batch is not None:
        raise ArgumentError(
            f"--batch is {batch}: it is for whole networks, layers have theirs in the list; add "
            f"--networks or leave it out"
        )
    if train:
        raise ArgumentError(
            "--train is given: it is for whole networks, layers have --directions; add --networks "
            "or leave it out"
        )
    with in_precision(precision):
        return main(picture=picture, **given, **of_layers)


def _bench_networks(batch: str | None, of_layers: list[str], given: dict[str, Any]) -> int:
    from faltung.bench.options import counts
    from faltung.bench.whole_run import main
    from faltung.errors import ArgumentError

    if of_layers:
        named = ", ".join(f"--{name}" for name in of_layers)
        raise ArgumentError(
            f"--networks is given with {named}, which are for layers: leave out --networks, or "
            f"these"
        )
    if batch is not None:
        given["batches"] = counts("--batch", batch)
    return main(**given)


def tune(
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TEXT]...", help="Problems, such as 'conv input ic64ih56oc64kh3'."),
    ] = None,
    listed: Annotated[
        Path | None, typer.Option("--list", help="File with a problem a line; # for comments.")
    ] = None,
    forget: Annotated[bool, typer.Option("--forget", help="Forget all choices.")] = False,
) -> int:
    """Measure what could solve each problem, and remember the fastest for all later plans."""
    from faltung.compiler.memory import choices
    from faltung.errors import ArgumentError

    if not forget and not texts and listed is None:
        raise ArgumentError("no problem is given: write one or more, or use --list or --forget")
    kept, right = choices(), True
    if forget:
        typer.echo(f"forgotten  {kept.clear()} choices")
    if texts or listed is not None:
        from faltung.asked import stated
        from faltung.tuning import lines_of, tune

        asked = [*(texts or ()), *(() if listed is None else lines_of(listed))]
        for problem in [stated(text) for text in asked]:
            (tuned,) = tune([problem])
            typer.echo(str(tuned))
            right = right and tuned.right
    if kept.trouble is not None:
        typer.echo(f"trouble: {kept.trouble}", err=True)
    return 0 if right and kept.trouble is None else 1


COMMANDS = (why, selfcheck, cache, bench, tune)
