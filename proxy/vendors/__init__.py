"""One file for each vendor; a new one is a file and a line here."""

from __future__ import annotations

from django.conf import settings

from common.cached import from_settings
from proxy.catalogue import Catalogue
from proxy.vendors.anthropic import ANTHROPIC
from proxy.vendors.bfl import BFL
from proxy.vendors.elevenlabs import ELEVENLABS
from proxy.vendors.fishaudio import FISHAUDIO
from proxy.vendors.google import GOOGLE
from proxy.vendors.ideogram import IDEOGRAM
from proxy.vendors.kling import KLING
from proxy.vendors.meta import META
from proxy.vendors.openai import OPENAI
from proxy.vendors.openrouter import OPENROUTER
from proxy.vendors.quiver import QUIVER
from proxy.vendors.qwen import QWEN
from proxy.vendors.recraft import RECRAFT
from proxy.vendors.reve import REVE
from proxy.vendors.rodin import RODIN
from proxy.vendors.sandbox import SANDBOX
from proxy.vendors.sonilo import SONILO
from proxy.vendors.stability import STABILITY
from proxy.vendors.xai import XAI

VENDORS = (
    ANTHROPIC,
    BFL,
    ELEVENLABS,
    FISHAUDIO,
    GOOGLE,
    IDEOGRAM,
    KLING,
    META,
    OPENAI,
    OPENROUTER,
    QUIVER,
    QWEN,
    RECRAFT,
    REVE,
    RODIN,
    SONILO,
    STABILITY,
    XAI,
)


@from_settings
def catalogue() -> Catalogue:
    """Return what can be called on this platform."""
    return Catalogue((*VENDORS, SANDBOX) if settings.SANDBOX_OPERATIONS else VENDORS)
