"""The least that carrying bytes costs: receive into one buffer, send from it.

As a program it takes the port of a server, prints the port it listens on, and takes one client: what that says it
passes on to the server, and back. It knows nothing of messages.
"""

import socket
import sys
from threading import Thread

_BUFFER = 256 * 1024
_HOST = "127.0.0.1"


def main() -> None:
    """Serve one client, then end."""
    with socket.create_server((_HOST, 0)) as listener:
        print("ready", listener.getsockname()[1], flush=True)
        client, _ = listener.accept()
    with client, socket.create_connection((_HOST, int(sys.argv[1]))) as server:
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Thread(target=_carry, args=(server, client), daemon=True).start()
        _carry(client, server)


def _carry(source: socket.socket, drain: socket.socket) -> None:
    buffer = memoryview(bytearray(_BUFFER))
    while size := source.recv_into(buffer):
        drain.sendall(buffer[:size])
    drain.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    main()
