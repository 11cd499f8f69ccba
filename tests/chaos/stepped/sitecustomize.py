"""For the program whose clock is stepped: libfaketime takes a sleep of no time for a wrong one.

Python sleeps until an instant, which has passed by then, and it computes what is left below zero.
"""

import select
import time

time.sleep = lambda seconds: select.select([], [], [], seconds) and None
