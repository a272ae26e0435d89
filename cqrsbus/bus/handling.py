"""What a bus with handlers needs: imported with the first that is declared.

So a bus that only calls does without, and entering one that handles, which is on the event loop, imports nothing.
"""

from cqrsbus.bus.consumer import Consumer
from cqrsbus.bus.dispatch import Binding, bind
from cqrsbus.bus.manifest import Manifest
from cqrsbus.bus.signature import analyse
from cqrsbus.bus.watchdog import Watchdog

__all__ = ["Binding", "Consumer", "Manifest", "Watchdog", "analyse", "bind"]
