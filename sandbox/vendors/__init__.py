"""Every vendor that the sandbox plays: one file each, one line here."""

from sandbox.vendor import Vendor
from sandbox.vendors.bfl import BFL
from sandbox.vendors.gemini import GEMINI
from sandbox.vendors.higgsfield import HIGGSFIELD
from sandbox.vendors.kling import KLING
from sandbox.vendors.krea import KREA
from sandbox.vendors.luma import LUMA, LUMA_AGENTS
from sandbox.vendors.minimax import MINIMAX
from sandbox.vendors.pixverse import PIXVERSE
from sandbox.vendors.rodin import RODIN
from sandbox.vendors.runway import RUNWAY
from sandbox.vendors.sandbox import SANDBOX
from sandbox.vendors.vidu import VIDU
from sandbox.vendors.wan import WAN
from sandbox.vendors.wavespeed import WAVESPEED

VENDORS: tuple[Vendor, ...] = (
    BFL,
    GEMINI,
    HIGGSFIELD,
    KLING,
    KREA,
    LUMA,
    LUMA_AGENTS,
    MINIMAX,
    PIXVERSE,
    RODIN,
    RUNWAY,
    SANDBOX,
    VIDU,
    WAN,
    WAVESPEED,
)
