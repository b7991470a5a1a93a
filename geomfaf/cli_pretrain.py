"""The command that pretrains a network without labels. Heavy packages are imported inside it."""

from __future__ import annotations

from pathlib import Path

import click

from .cli_options import EXISTING, NEW, device_option, overwrite_option, seed_option


@click.command()
@click.argument("stack", type=EXISTING)
@click.argument("out", type=NEW)
@click.option("--size", default=16, show_default=True, help="Cells along a window.")
@click.option("--backbone", default="compact", show_default=True,
              help="compact, resnet18, shufflenet_v2, googlenet, mobilenet_v2 or mnasnet.")  # fmt: skip
@click.option("--steps", default=300, show_default=True, help="Batches of 64 windows.")
@device_option
@seed_option
@overwrite_option
def pretrain(
    stack: Path, out: Path, size: int, backbone: str, steps: int, device: str, seed: int, overwrite: bool
) -> None:
    """Pretrain a network on STACK without labels, by filling in hidden cells of windows anywhere on it.

    The result is OUT, a folder of weights for `geomfaf train --weights OUT`. The bands of all ground are seen, of later
    test ground too; deposits never are. `train --pretrain 300` pretrains inside the folds and sees neither.

    Example: geomfaf pretrain demo/stack.tif demo/pretrained
    """
    from .pretrain import PRETRAINED, pretrain_network, save_pretrained
    from .recipe import training_options
    from .write import read_raster, refuse_existing

    refuse_existing(out / PRETRAINED, overwrite)
    options = training_options(backbone=backbone)
    found = pretrain_network(read_raster(stack), size=size, options=options, steps=steps, seed=seed, device=device)
    click.echo(str(save_pretrained(found, out, overwrite=overwrite)))
