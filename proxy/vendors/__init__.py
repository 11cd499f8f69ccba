"""One file for each vendor; a new one is a file and a line here."""

from __future__ import annotations

from django.conf import settings

from common.cached import from_settings
from proxy.catalogue import Catalogue
from proxy.vendors.anthropic import ANTHROPIC
from proxy.vendors.beeble import BEEBLE
from proxy.vendors.bfl import BFL
from proxy.vendors.bria import BRIA
from proxy.vendors.byteplus import BYTEPLUS
from proxy.vendors.elevenlabs import ELEVENLABS
from proxy.vendors.fishaudio import FISHAUDIO
from proxy.vendors.google import GOOGLE
from proxy.vendors.heygen import HEYGEN
from proxy.vendors.higgsfield import HIGGSFIELD
from proxy.vendors.hitpaw import HITPAW
from proxy.vendors.ideogram import IDEOGRAM
from proxy.vendors.kling import KLING
from proxy.vendors.krea import KREA
from proxy.vendors.ltx import LTX
from proxy.vendors.luma import LUMA
from proxy.vendors.luma_agents import LUMA_AGENTS
from proxy.vendors.magnific import MAGNIFIC
from proxy.vendors.meshy import MESHY
from proxy.vendors.meta import META
from proxy.vendors.minimax import MINIMAX
from proxy.vendors.moonvalley import MOONVALLEY
from proxy.vendors.openai import OPENAI
from proxy.vendors.openrouter import OPENROUTER
from proxy.vendors.pika import PIKA
from proxy.vendors.pixverse import PIXVERSE
from proxy.vendors.quiver import QUIVER
from proxy.vendors.qwen import QWEN
from proxy.vendors.recraft import RECRAFT
from proxy.vendors.reve import REVE
from proxy.vendors.rodin import RODIN
from proxy.vendors.runway import RUNWAY
from proxy.vendors.sandbox import SANDBOX
from proxy.vendors.sonilo import SONILO
from proxy.vendors.stability import STABILITY
from proxy.vendors.synclabs import SYNCLABS
from proxy.vendors.tencent import TENCENT
from proxy.vendors.topaz import TOPAZ
from proxy.vendors.tripo import TRIPO
from proxy.vendors.vidu import VIDU
from proxy.vendors.wan import ALIBABA_WAN
from proxy.vendors.wavespeed import WAVESPEED
from proxy.vendors.xai import XAI

VENDORS = (
    ALIBABA_WAN,
    ANTHROPIC,
    BEEBLE,
    BFL,
    BRIA,
    BYTEPLUS,
    ELEVENLABS,
    FISHAUDIO,
    GOOGLE,
    HEYGEN,
    HIGGSFIELD,
    HITPAW,
    IDEOGRAM,
    KLING,
    KREA,
    LTX,
    LUMA,
    LUMA_AGENTS,
    MAGNIFIC,
    MESHY,
    META,
    MINIMAX,
    MOONVALLEY,
    OPENAI,
    OPENROUTER,
    PIKA,
    PIXVERSE,
    QUIVER,
    QWEN,
    RECRAFT,
    REVE,
    RODIN,
    RUNWAY,
    SONILO,
    STABILITY,
    SYNCLABS,
    TENCENT,
    TOPAZ,
    TRIPO,
    VIDU,
    WAVESPEED,
    XAI,
)


@from_settings
def catalogue() -> Catalogue:
    """Return what can be called on this platform."""
    return Catalogue((*VENDORS, SANDBOX) if settings.SANDBOX_OPERATIONS else VENDORS)
