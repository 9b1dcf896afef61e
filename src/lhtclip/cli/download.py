"""`lhtclip download`: models into the cache, for later use without a network."""

from __future__ import annotations

import click

from lhtclip.cli.console import print_path


@click.command()
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
def command(*, models: tuple[str, ...]) -> None:
    """Download models into the local cache and print their paths.

    MODEL is a short name (see `lhtclip models`), an id on the hub, or one of OpenAI's archives on
    your disk (ViT-B-16.pt), for which only the tokenizer is downloaded. The cache is that of
    huggingface_hub: HF_HOME, HF_HUB_CACHE and HF_TOKEN apply.
    """
    from lhtclip.checkpoints.hub import canonical_name, resolve

    for name in models:
        canonical_name(name)  # a misspelt name is reported before the first download
    for name in models:
        print_path(resolve(name))
