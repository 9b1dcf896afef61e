"""`lhtclip download`: models into the cache, for later use without a network."""

from __future__ import annotations

import click

from lhtclip.cli.console import print_path


@click.command()
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
def command(*, models: tuple[str, ...]) -> None:
    """Fetch models into the local cache and print where they lie.

    MODEL is a short name (see `lhtclip models`), an id on the hub, or one of OpenAI's archives
    (ViT-B-16.pt), which are here already but for their tokenizer. The cache is that of
    huggingface_hub: HF_HOME, HF_HUB_CACHE and HF_TOKEN count.
    """
    from lhtclip.checkpoints.hub import canonical_name, resolve

    for name in models:
        canonical_name(name)  # a misspelt name is told before the first is fetched
    for name in models:
        print_path(resolve(name))
