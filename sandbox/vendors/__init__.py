"""Every vendor that the sandbox plays: one file each, one line here."""

from sandbox.vendor import Vendor
from sandbox.vendors.bfl import BFL
from sandbox.vendors.gemini import GEMINI
from sandbox.vendors.kling import KLING
from sandbox.vendors.rodin import RODIN
from sandbox.vendors.sandbox import SANDBOX

VENDORS: tuple[Vendor, ...] = (BFL, GEMINI, KLING, RODIN, SANDBOX)
