"""What stands behind a proxy: the fixed-answer server, one for each contestant, so that none uses up the other's sockets."""
from http.client import HTTPConnection

from .contents import ORDERS
from .processes import Process, free_port


class Origin:
    def __init__(self, name, stage, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.process = Process(f"the origin of {name}", [stage.floor, str(self.port), stage.site / ORDERS], stage.cores.origin, folder)
        self.process.wait_for(self.port)

    def swallowed(self):
        """Bytes of request bodies that it had so far."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/swallowed")
        return int(connection.getresponse().read())

    def stop(self):
        self.process.stop()
