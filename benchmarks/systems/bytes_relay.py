"""The least that carrying bytes costs: receive into one buffer, send from it.

As a program it prints the port it listens on, takes a source and a drain, passes everything on, and knows nothing
of messages.
"""

import socket

_BUFFER = 256 * 1024


def main() -> None:
    """Serve one pair, then end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print("ready", listener.getsockname()[1], flush=True)
        drain, source = listener.accept()[0], listener.accept()[0]
        buffer = memoryview(bytearray(_BUFFER))
        while size := source.recv_into(buffer):
            drain.sendall(buffer[:size])


if __name__ == "__main__":
    main()
