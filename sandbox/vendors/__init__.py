"""Every vendor that the sandbox plays: one file each, one line here."""

from sandbox.vendor import Vendor
from sandbox.vendors.anthropic import ANTHROPIC
from sandbox.vendors.bfl import BFL
from sandbox.vendors.elevenlabs import ELEVENLABS
from sandbox.vendors.fishaudio import FISHAUDIO
from sandbox.vendors.gemini import GEMINI
from sandbox.vendors.ideogram import IDEOGRAM
from sandbox.vendors.kling import KLING
from sandbox.vendors.meta import META
from sandbox.vendors.openai import OPENAI
from sandbox.vendors.openrouter import OPENROUTER
from sandbox.vendors.quiver import QUIVER
from sandbox.vendors.qwen import QWEN
from sandbox.vendors.recraft import RECRAFT
from sandbox.vendors.reve import REVE
from sandbox.vendors.rodin import RODIN
from sandbox.vendors.sandbox import SANDBOX
from sandbox.vendors.sonilo import SONILO
from sandbox.vendors.stability import STABILITY
from sandbox.vendors.xai import XAI

VENDORS: tuple[Vendor, ...] = (
    ANTHROPIC,
    BFL,
    ELEVENLABS,
    FISHAUDIO,
    GEMINI,
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
    SANDBOX,
    SONILO,
    STABILITY,
    XAI,
)
