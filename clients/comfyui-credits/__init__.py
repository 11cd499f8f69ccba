"""Has a stock ComfyUI use a credits platform of one's own, and come to a key there.

Put this folder into `custom_nodes`, and say where the platform is (place.py). Then

- nodes call it (`--comfy-api-base`), and the page that ComfyUI serves asks it (its base URLs);
- people sign in at it, by key or by "Continue with SSO";
- /comfyui-credits pairs this machine, whose key is then used by whatever brings none.

It brings no node. Where a version of ComfyUI has no place for something, that is left out.
"""

from __future__ import annotations

import logging
from importlib import metadata

from . import place

NODE_CLASS_MAPPINGS = {}
WEB_DIRECTORY = "./web"
__all__ = ["NODE_CLASS_MAPPINGS", "WEB_DIRECTORY"]

STOCK = "https://api.comfy.org"
FOLLOWS_FROM = (1, 49, 6)
"""The oldest frontend that was seen to follow base URLs; older ones ask comfy.org."""
log = logging.getLogger("comfyui-credits")


def say(line: str) -> None:
    """Write a line where ComfyUI writes its own."""
    log.info("[comfyui-credits] %s", line)


def warn(line: str) -> None:
    """Write it so that nobody misses it."""
    log.warning("[comfyui-credits] %s", line)


def point_nodes_at(base: str) -> bool:
    """Have partner nodes call the platform; False if somebody said otherwise at the start."""
    from comfy.cli_args import args

    given = str(getattr(args, "comfy_api_base", STOCK)).rstrip("/")
    if given not in (STOCK, base):
        warn(f"--comfy-api-base says {given}, not {base}: one of the two is wrong. Nothing is set.")
        return False
    args.comfy_api_base = base
    return True


def features(base: str, *, has_key: bool) -> dict:
    """Return what the page must know: all three addresses, or it sends keys to comfy.org."""
    said = {
        "comfy_api_base_url": base,
        "comfy_cloud_base_url": base,
        "comfy_platform_base_url": base,
        "show_signin_button": True,
        "local_web_sso": True,
    }
    return {**said, "partner_run_gate_enabled": False} if has_key else said


def tell_page(base: str) -> None:
    """Have the page that ComfyUI serves ask the platform, if it is one that can."""
    try:
        from comfy_api import feature_flags
    except ImportError:
        warn("this ComfyUI is too old to tell its page anything: use keys with prompts.")
        return
    has_key = place.key_for(base) is not None
    feature_flags.SERVER_FEATURE_FLAGS.update(features(base, has_key=has_key))


def warn_of_old_page() -> None:
    """Say so where the page would send a key of this platform elsewhere."""
    try:
        version = metadata.version("comfyui-frontend-package")
        numbers = tuple(int(part) for part in version.split(".")[:3])
    except (metadata.PackageNotFoundError, ValueError):
        return
    if numbers < FOLLOWS_FROM:
        warn(
            f"frontend {version} may ask comfy.org whatever it is told: type no key into its "
            "sign-in. Pair this machine at /comfyui-credits, or send a key with each prompt."
        )


def add_key(prompt: dict, base: str) -> dict:
    """Give a prompt that brings no credential the machine's own; ComfyUI keeps it out of history.

    A bearer token of somebody who is signed in stays alone, and so does a key that was sent.
    """
    extra = prompt.setdefault("extra_data", {})
    key = place.key_for(base) if isinstance(extra, dict) else None
    if key and not (extra.get("api_key_comfy_org") or extra.get("auth_token_comfy_org")):
        extra["api_key_comfy_org"] = key
    return prompt


def start() -> None:
    """Set all of it, or say in one line why not."""
    try:
        base = place.base_url()
    except place.Unusable as why:
        warn(str(why))
        return
    if not point_nodes_at(base):
        return
    from server import PromptServer

    from . import routes
    from .pairing import Pairing
    from .wayback import way_back

    tell_page(base)
    warn_of_old_page()
    server = PromptServer.instance
    server.app.middlewares.insert(0, way_back)
    server.add_on_prompt_handler(lambda prompt: add_key(prompt, base))
    routes.add(server.routes, Pairing(base, say=say, paired=lambda: tell_page(base)))
    has_key = place.key_for(base) is not None
    say(f"uses {base}; this machine has {'a' if has_key else 'no'} key of its own"
        + ("." if has_key else ": /comfyui-credits pairs it."))  # fmt: skip


try:
    import server  # noqa: F401
except ImportError:
    pass  # Read by something else than ComfyUI, like a test.
else:
    start()
