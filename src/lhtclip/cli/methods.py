"""`lhtclip methods`: the last-block rules and what each keeps of the block."""

from __future__ import annotations

import json

import click

from lhtclip.cli.console import print_table, say


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> None:
    """List the last-block rules there are.

    "residual" and "mlp" say whether a rule keeps them as published. Where a technique of LHT-CLIP
    acts, neither is kept unless asked for. The techniques go with every rule; where they reach one
    in a way of its own, a note says so.
    """
    from lhtclip.methods import METHODS

    if as_json:
        entries = [
            {
                "name": name,
                "source": rule.source,
                "residual": rule.residual,
                "mlp": rule.mlp,
                "note": rule.note,
            }
            for name, rule in METHODS.items()
        ]
        click.echo(json.dumps(entries, indent=2))
        return
    print_table(
        ("name", "residual", "mlp", "source"),
        [
            (name, _kept(rule.residual), _kept(rule.mlp), rule.source)
            for name, rule in METHODS.items()
        ],
    )
    for name, rule in METHODS.items():
        if rule.note:
            say(f"{name}: {rule.note}")


def _kept(value: bool) -> str:
    return "kept" if value else "dropped"
