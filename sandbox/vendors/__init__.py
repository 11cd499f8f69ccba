"""Every vendor that the sandbox plays: one file each, one line here."""

from sandbox.vendor import Vendor
from sandbox.vendors.anthropic import ANTHROPIC
from sandbox.vendors.beeble import BEEBLE
from sandbox.vendors.bfl import BFL
from sandbox.vendors.bria import BRIA
from sandbox.vendors.byteplus import BYTEPLUS
from sandbox.vendors.elevenlabs import ELEVENLABS
from sandbox.vendors.fishaudio import FISHAUDIO
from sandbox.vendors.gemini import GEMINI
from sandbox.vendors.heygen import HEYGEN
from sandbox.vendors.higgsfield import HIGGSFIELD
from sandbox.vendors.hitpaw import HITPAW
from sandbox.vendors.ideogram import IDEOGRAM
from sandbox.vendors.kling import KLING
from sandbox.vendors.krea import KREA
from sandbox.vendors.ltx import LTX
from sandbox.vendors.luma import LUMA, LUMA_AGENTS
from sandbox.vendors.magnific import MAGNIFIC
from sandbox.vendors.meshy import MESHY
from sandbox.vendors.meta import META
from sandbox.vendors.minimax import MINIMAX
from sandbox.vendors.moonvalley import MOONVALLEY
from sandbox.vendors.openai import OPENAI
from sandbox.vendors.openrouter import OPENROUTER
from sandbox.vendors.pika import PIKA
from sandbox.vendors.pixverse import PIXVERSE
from sandbox.vendors.quiver import QUIVER
from sandbox.vendors.qwen import QWEN
from sandbox.vendors.recraft import RECRAFT
from sandbox.vendors.reve import REVE
from sandbox.vendors.rodin import RODIN
from sandbox.vendors.runway import RUNWAY
from sandbox.vendors.sandbox import SANDBOX
from sandbox.vendors.sonilo import SONILO
from sandbox.vendors.stability import STABILITY
from sandbox.vendors.synclabs import SYNCLABS
from sandbox.vendors.tencent import TENCENT
from sandbox.vendors.topaz import TOPAZ
from sandbox.vendors.tripo import TRIPO
from sandbox.vendors.vidu import VIDU
from sandbox.vendors.wan import WAN
from sandbox.vendors.wavespeed import WAVESPEED
from sandbox.vendors.xai import XAI

VENDORS: tuple[Vendor, ...] = (
    ANTHROPIC,
    BEEBLE,
    BFL,
    BRIA,
    BYTEPLUS,
    ELEVENLABS,
    FISHAUDIO,
    GEMINI,
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
    SANDBOX,
    SONILO,
    STABILITY,
    SYNCLABS,
    TENCENT,
    TOPAZ,
    TRIPO,
    VIDU,
    WAN,
    WAVESPEED,
    XAI,
)
