"""What `up --https` adds: an address that the page of a ComfyUI, and browsers, take.

A name other than localhost is for the machines of a network; then all of it is listened to.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from local import certificates, processes
from local.supervisor import Child

ROOT = Path(__file__).resolve().parent.parent

Environment = dict[str, str]


def settings(options: argparse.Namespace) -> Environment:
    """Return what the product is told of it."""
    return {"PUBLIC_URL": public_url(options), "TRUSTED_PROXIES": "127.0.0.1"}


def front(options: argparse.Namespace, base_url: str, environment: Environment) -> Child:
    """Return what ends TLS before the web process."""
    made, listens = certificate(options), options.https_port
    host = "127.0.0.1" if options.https == "localhost" else "0.0.0.0"  # noqa: S104 - as was asked
    words = ["--host", host, "--port", str(listens), "--to", base_url]
    words += ["--cert", str(made.chain), "--key", str(made.key)]
    return Child(
        "tls",
        [sys.executable, "-m", "local.tls", *words],
        logs=options.data / "logs",
        environment=environment,
        ready=lambda: not processes.port_is_free(listens),
        cwd=ROOT,
    )


def certificate(options: argparse.Namespace) -> certificates.Certificate:
    """Return the certificate of this data folder."""
    return certificates.for_name(options.data / "tls", options.https)


def public_url(options: argparse.Namespace) -> str:
    """Return how browsers and ComfyUIs reach us by https."""
    return f"https://{options.https}:{options.https_port}"


def lines(options: argparse.Namespace) -> list[str]:
    """Tell how a ComfyUI is pointed here, and what trusts the certificate."""
    trust = certificates.how_to_trust(certificate(options).authority)
    named = f"COMFYUI_CREDITS_URL={public_url(options)}"
    return [f"By https: {public_url(options)}", f"  ComfyUI: {named} (docs/connect.md)", *trust]
