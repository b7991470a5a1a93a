"""geomfaf: from stream sediments, geology, faults and known deposits to an honest target map.

The public names stand in ``__init__.pyi``, in the order of the data flow; editors and type checkers
read them there. Each is loaded when it is first used, so that ``import geomfaf`` costs nothing and
torch is imported only by what trains or predicts.
"""

import os

import lazy_loader

__version__ = "0.2.0"

# Must stand before torch is loaded. By default its threads spin while they wait for each other:
# beside any other busy process a training step then takes five times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
