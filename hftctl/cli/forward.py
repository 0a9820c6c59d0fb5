"""hftctl forward: a port of this machine that leads to a component's."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from hftctl.cli import output
from hftctl.cli.confirm import asker
from hftctl.cli.options import Deployment, Format, Output, Yes
from hftctl.errors import Interrupted


def forward(
    component: Annotated[
        str, typer.Argument(metavar="COMPONENT", help="postgres, redis or nginx.", show_default=False)
    ],
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", min=0, max=65535, help="Of this machine; 0 is a free one.")
    ] = 0,
    name: Deployment = None,
    yes: Yes = False,
    format_: Output = Format.TEXT,
) -> None:
    """Open a port on loopback that leads to a component, until Ctrl-C.

    Also where its own is not published, or on another machine. Each connection
    finds the component anew. In production it asks first; hftctl events tells
    who did it.

    \b
    Examples:
      hftctl forward postgres --port 15432
      hftctl forward nginx -p compose
    """
    from hftctl.operations.forward import HOST
    from hftctl.operations.forward import forward as open_

    with open_(name, component, port=port, confirm=asker(yes)) as opened:
        if opened.unrecorded:
            output.say(f"{output.paint('warning:', '33', sys.stderr)} not recorded for events: {opened.unrecorded}")
        if format_ is Format.JSON:
            body = {"deployment": opened.deployment, "component": opened.component, "host": HOST, "port": opened.port}
            output.document("Forward", body)
        else:
            output.put(f"{HOST}:{opened.port} leads to {opened.component} of '{opened.deployment}'; Ctrl-C ends it")
        output.flush()
        try:
            opened.serve(output.say)
        except KeyboardInterrupt:
            raise typer.Exit(Interrupted.exit_code) from None  # the usual way to end it, nothing to explain
