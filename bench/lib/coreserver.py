"""The core server as a process, and those who speak to it: programs that announce, and clients that ask."""
import re
import socket
import time
from pathlib import Path

from .failure import Failed
from .processes import Process, free_port

PATIENCE_SECONDS = 60
LONGEST_REPLY = 65535


class CoreServer:
    """Runs on the given cores, beside a state folder."""

    def __init__(self, binary, folder, cores):
        self.port, self.control = free_port(), free_port()
        command = [binary, "core", "--control", f"127.0.0.1:{self.control}", "--listen", f"127.0.0.1:{self.port}",
                   "--state", str(folder / "state")]
        folder.mkdir(exist_ok=True)
        self.begun = time.monotonic()
        self.process = Process("dreamserver", command, ",".join(map(str, cores)), folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stop()

    @property
    def pid(self):
        return self.process.pid

    def until_served(self, host):
        """Seconds from the start of the process until this name is served."""
        while time.monotonic() < self.begun + PATIENCE_SECONDS:
            self.process.check()
            try:
                with Client(self, host) as client:
                    if client.ask() == 200:
                        return time.monotonic() - self.begun
            except OSError:
                pass
            time.sleep(0.001)
        raise Failed(f"{host} is not served:\n{self.process.last_words()}")

    def memory(self, what="VmRSS"):
        """Bytes of the process that are in memory (VmRSS), or were at most (VmHWM)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{what}:\s+(\d+) kB", status, re.M)[1]) * 1024

    def threads(self):
        """CPU seconds of each thread that lives, by its number, with its name."""
        seconds = {}
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            runtime = int((task / "schedstat").read_text().split()[0])
            seconds[task.name] = ((task / "comm").read_text().strip(), runtime / 1e9)
        return seconds


class Announcer:
    """A program that announces, by UDP."""

    def __init__(self, server):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE_SECONDS)
        self.socket.connect(("127.0.0.1", server.control))

    def say(self, text):
        """The reply, and the seconds that it took."""
        begun = time.perf_counter()
        self.socket.send(text.encode())
        reply = self.socket.recv(LONGEST_REPLY).decode()
        took = time.perf_counter() - begun
        if not reply.startswith("ok "):
            raise Failed(f"{text}: {reply}")
        return reply, took


class Client:
    """A connection that stays, and asks for one host at a time."""

    def __init__(self, server, host):
        self.host = host
        self.socket = socket.create_connection(("127.0.0.1", server.port), PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self):
        """The status of the answer."""
        self.send(self.host)
        return self.receive()

    def send(self, host):
        self.socket.sendall(f"GET /1k.txt HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())

    def receive(self):
        received = b""
        while True:
            piece = self.socket.recv(LONGEST_REPLY)
            if not piece:
                raise OSError("the connection was closed")
            received += piece
            head, end, body = received.partition(b"\r\n\r\n")
            if end and len(body) >= int(re.search(rb"(?i)^content-length: (\d+)", head, re.M)[1]):
                return int(head.split(b" ", 2)[1])
