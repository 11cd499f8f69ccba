"""Every vendor that the sandbox plays: one file each, one line here."""

from sandbox.vendor import Vendor
from sandbox.vendors.beeble import BEEBLE
from sandbox.vendors.bfl import BFL
from sandbox.vendors.bria import BRIA
from sandbox.vendors.gemini import GEMINI
from sandbox.vendors.heygen import HEYGEN
from sandbox.vendors.higgsfield import HIGGSFIELD
from sandbox.vendors.kling import KLING
from sandbox.vendors.krea import KREA
from sandbox.vendors.ltx import LTX
from sandbox.vendors.luma import LUMA, LUMA_AGENTS
from sandbox.vendors.minimax import MINIMAX
from sandbox.vendors.moonvalley import MOONVALLEY
from sandbox.vendors.pika import PIKA
from sandbox.vendors.pixverse import PIXVERSE
from sandbox.vendors.rodin import RODIN
from sandbox.vendors.runway import RUNWAY
from sandbox.vendors.sandbox import SANDBOX
from sandbox.vendors.synclabs import SYNCLABS
from sandbox.vendors.vidu import VIDU
from sandbox.vendors.wan import WAN
from sandbox.vendors.wavespeed import WAVESPEED

VENDORS: tuple[Vendor, ...] = (
    BEEBLE,
    BFL,
    BRIA,
    GEMINI,
    HEYGEN,
    HIGGSFIELD,
    KLING,
    KREA,
    LTX,
    LUMA,
    LUMA_AGENTS,
    MINIMAX,
    MOONVALLEY,
    PIKA,
    PIXVERSE,
    RODIN,
    RUNWAY,
    SANDBOX,
    SYNCLABS,
    VIDU,
    WAN,
    WAVESPEED,
)
