"""Every vendor that the sandbox plays: one file each, one line here."""

from sandbox.vendor import Vendor
from sandbox.vendors.bfl import BFL
from sandbox.vendors.gemini import GEMINI
from sandbox.vendors.ideogram import IDEOGRAM
from sandbox.vendors.kling import KLING
from sandbox.vendors.recraft import RECRAFT
from sandbox.vendors.rodin import RODIN
from sandbox.vendors.sandbox import SANDBOX

VENDORS: tuple[Vendor, ...] = (BFL, GEMINI, IDEOGRAM, KLING, RECRAFT, RODIN, SANDBOX)
