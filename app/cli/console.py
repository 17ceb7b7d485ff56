"""`manage.py console`: a one-time link that signs you in to the console of the running server."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

import click

from app.cli.options import load_profile, profile_options
from app.cli.serve import ADDRESS_FILE, KEY_FILE
from app.core.errors import Unavailable

WAIT_S = 5.0


@click.command()
@profile_options
@click.option("--data", "data_folder", type=click.Path(path_type=Path), help="The running server's data folder.")
def console(mode: str, file: Path | None, assignments: tuple[str, ...], data_folder: Path | None) -> None:
    """Print a link to the console, good once and for an hour."""
    folder = data_folder or Path(load_profile(mode, file, assignments).profile.server.data_folder)
    try:
        url = json.loads((folder / ADDRESS_FILE).read_text())["url"]
        key = (folder / KEY_FILE).read_text()
    except OSError as error:
        raise Unavailable(
            f"no server runs on the data folder {str(folder)!r}", hint="start one with manage.py serve, or give --data"
        ) from error
    click.echo(console_link(url, key))


def console_link(url: str, key: str) -> str:
    """The one-time link of the server at `url`; raises Unavailable when it does not answer."""
    request = urllib.request.Request(  # noqa: S310  # the address comes from the server's own file
        f"{url}/v1/auth/code", data=b"{}", headers={"Authorization": f"Bearer {key}"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:  # noqa: S310  # as above
            code = json.load(answer)["code"]
    except (urllib.error.URLError, TimeoutError) as error:
        raise Unavailable(f"the server at {url} does not answer: {error}", hint="is it still running?") from error
    return f"{url}/console/#{code}"
