"""`manage.py console`: a one-time link that signs you in to the console of the running server."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

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
        address = json.loads((folder / ADDRESS_FILE).read_text())
        key = (folder / KEY_FILE).read_text()
    except OSError as error:
        raise Unavailable(
            f"no server runs on the data folder {str(folder)!r}", hint="start one with manage.py serve, or give --data"
        ) from error
    url, certificate = address["url"], address.get("certificate", "")
    click.echo(console_link(url, key, public=address.get("public", ""), certificate=certificate))


def console_link(url: str, key: str, *, public: str = "", certificate: str = "") -> str:
    """The one-time link of the server at `url`; raises Unavailable when it does not answer.

    `public` is how browsers reach it, where that differs; `certificate` is the file that the server itself serves
    under, whose key it must prove, whatever name it bears.
    """
    headers = {"Authorization": f"Bearer {key}"} | ({"Host": urlsplit(public).netloc} if public else {})
    request = urllib.request.Request(  # noqa: S310  # the address comes from the server's own file
        f"{url}/v1/auth/code", data=b"{}", headers=headers, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S, context=_pinned(certificate)) as answer:  # noqa: S310  # as above
            code = json.load(answer)["code"]
    except (urllib.error.URLError, TimeoutError) as error:
        raise Unavailable(f"the server at {url} does not answer: {error}", hint="is it still running?") from error
    return f"{public or url}/console/#{code}"


def _pinned(certificate: str) -> ssl.SSLContext | None:
    """A context that takes this certificate and no other."""
    if not certificate:
        return None
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
