"""TLS as Innkeeper serves it itself: version 1.3 and nothing older, with a certificate that can be renewed."""

from __future__ import annotations

import ssl

from app.core.errors import Invalid


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """A context over the two PEM files; raises Invalid, as `renew`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    renew(context, certificate, key)
    return context


def renew(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Use what the files hold now for connections to come; raises Invalid, naming them, and then keeps what it had."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key or None)
        context.load_cert_chain(certificate, key or None)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or str(error)
        raise Invalid(
            f"server.tls_certificate {certificate!r} and server.tls_key {key!r} cannot be used: {reason}",
            hint="give a PEM file with the certificate and its chain, and one with its key",
        ) from error
