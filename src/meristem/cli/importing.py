"""`meristem contracts import` and `lock`: contracts made of a `.proto`, and the numbers of their fields."""

from __future__ import annotations

from keyword import iskeyword
from pathlib import Path

import click

from meristem.cli.loading_system import load_contracts, system_argument
from meristem.contracts.contract import operations


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-I", "include", multiple=True, type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where imports are looked for; the file lies below one of them.  [default: the file's folder]",
)  # fmt: skip
@click.option(
    "-o", "out", type=click.Path(dir_okay=False, path_type=Path), help="The module.  [default: the file's name, here]"
)
@click.option(
    "--public", is_flag=True, help="Anybody may call the operations by RPC: `public=True` is written with each."
)
def import_(file: Path, include: tuple[Path, ...], out: Path | None, *, public: bool) -> None:
    """Make contracts of a .proto: a module, and the numbers of its fields in the lock beside it."""
    from meristem.proto.importing import import_proto  # noqa: PLC0415 - only this verb reads protobuf
    from meristem.proto.python_names import module_name  # noqa: PLC0415 - as above

    module = out or Path(f"{module_name(file.name, alone=not Path('__init__.py').exists())}.py")
    if module.suffix != ".py" or not module.stem.isidentifier() or iskeyword(module.stem):
        raise click.BadParameter(f"{module} is no module: give a name as in `-o shop/contracts.py`", param_hint="-o")
    for each in import_proto(file, include, module, public=public):
        click.echo(f"wrote {each}")


@click.command()
@system_argument
def lock(target: str | None) -> None:
    """Keep the field numbers of contracts in contracts.lock beside them: what was removed is never given again."""
    from meristem.contracts.protobuf.numbering import lock_changes  # noqa: PLC0415 - only this verb writes locks

    changes = lock_changes(each for contract in load_contracts(target) for each in operations(contract).values())
    for change in changes:
        change.write()
        click.echo(f"wrote {change.path}")
        for each in change.told:
            click.echo(f"  {each}")
    if not changes:
        click.echo("every field has its number")
