"""`layby completion`: a script for the shell.

Owns where it belongs; click makes the script. Must never know a verb by name.
"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from layby.cli.app import Setup, Verb, app

WHERE = {
    "bash": 'eval "$(layby completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(layby completion zsh)" in ~/.zshrc',
    "fish": "layby completion fish > ~/.config/fish/completions/layby.fish",
}


@click.command(
    cls=Verb,
    epilog="\b\n" + "\n".join(f"{shell}: {line}" for shell, line in WHERE.items()),
)
@click.argument("shell", type=click.Choice(list(WHERE)))
@click.pass_obj
def completion(setup: Setup, shell: str) -> None:
    """Print a completion script for SHELL."""
    maker = get_completion_class(shell)
    assert maker is not None
    setup.out.line(maker(app, {}, "layby", "_LAYBY_COMPLETE").source())
