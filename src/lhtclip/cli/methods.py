"""`lhtclip methods`: the methods and what each keeps of the last block."""

from __future__ import annotations

import json

import click

from lhtclip.cli.console import print_table, say


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> None:
    """List the methods for CLIP's last block.

    "residual" and "mlp" say whether the published method keeps them. If a technique of LHT-CLIP is
    on, neither is kept unless you ask for it. The techniques work with every method; a note says
    where they reach one differently. With --json, "settings" are what --setting changes.
    """
    from lhtclip.methods import METHODS

    if as_json:
        entries = [
            {
                "name": name,
                "source": method.source,
                "residual": method.residual,
                "mlp": method.mlp,
                "settings": method.recorded_settings(),
                "note": method.note,
            }
            for name, method in METHODS.items()
        ]
        click.echo(json.dumps(entries, indent=2))
        return
    print_table(
        ("name", "residual", "mlp", "source"),
        [
            (name, _kept(method.residual), _kept(method.mlp), method.source)
            for name, method in METHODS.items()
        ],
    )
    for name, method in METHODS.items():
        if method.note:
            say(f"{name}: {method.note}")


def _kept(value: bool) -> str:
    return "kept" if value else "dropped"
