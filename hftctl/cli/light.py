"""Typer's commands without what we cannot use: its import of pydantic where nothing is run, its own way to end.

Typer turns every value into its type with pydantic, whose import takes longer than all the rest of our start. Completion
and help run nothing, and the options of groups are flags, so there values stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from hftctl.errors import Interrupted


class ReaderLeft(Exception):
    """Nobody reads our output any more. Typer would end with 1, which means `failed and reverted` here."""


class Command(TyperCommand):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:
            _keep_values(self, ctx)
        return super().parse_args(ctx, args)


class Group(TyperGroup):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _keep_values(self, ctx)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderLeft from error
        except KeyboardInterrupt as error:
            raise Interrupted("interrupted", hint="see what stands: hftctl status") from error


def lighten(app: typer.Typer) -> None:
    """For every command that is registered below an app."""
    for command in app.registered_commands:
        command.cls = Command
    for group in app.registered_groups:
        group.cls = Group
        if group.typer_instance is not None:
            lighten(group.typer_instance)


def _keep_values(command: TyperCommand | TyperGroup, ctx: Any) -> None:
    for parameter in command.get_params(ctx):  # the option for help too
        parameter.process_value = _kept(parameter)  # type: ignore[method-assign, assignment]


def _kept(parameter: Any) -> Callable[[Any, Any], Any]:
    def process(ctx: Any, value: Any) -> Any:
        return value if parameter.callback is None else parameter.callback(ctx, parameter, value)

    return process
