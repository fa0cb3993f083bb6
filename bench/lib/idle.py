"""No load at all: connections that had one answer and stay. What they cost is the memory that they keep."""
import socket
import time

from . import proc
from .failure import Failed
from .pace import request
from .scenarios import MANY

FEW = 10  # connections that make the server allocate what it needs for the first one
SETTLE_SECONDS = 1.5  # until a server has given back what a busy connection needs


def measure(contestant):
    """Bytes of the server's private memory for each idle connection, by how many there are."""
    pid = contestant.process.pid
    connections = [asked_once(contestant) for _ in range(FEW)]
    time.sleep(SETTLE_SECONDS)
    base = proc.private(pid)
    bytes_each = {}
    for many in MANY:
        connections += [asked_once(contestant) for _ in range(FEW + many - len(connections))]
        time.sleep(SETTLE_SECONDS)
        bytes_each[many] = (proc.private(pid) - base) / many
    for connection in connections:
        connection.close()
    return bytes_each


def connected(contestant):
    connection = socket.create_connection(("127.0.0.1", contestant.port), 10)
    if not contestant.scenario.tls:
        return connection
    return contestant.stage.certificate.client.wrap_socket(connection, server_hostname="localhost")


def asked_once(contestant):
    connection = connected(contestant)
    connection.sendall(request(contestant.scenario.path, contestant.fields).encode())
    answer = b""
    while len(answer.partition(b"\r\n\r\n")[2]) < contestant.scenario.length:
        piece = connection.recv(65536)
        if not piece:
            raise Failed(f"{contestant.label} closed a connection that should stay idle")
        answer += piece
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise Failed(f"{contestant.label} answers {answer[:40]!r}")
    return connection
