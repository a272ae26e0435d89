"""The unix transport: ``unix:///path``, a socket in the file system.

The rules:

- A live broker's socket is never taken. Whoever listens holds a lock on ``PATH.lock`` for as long, so two brokers
  that start together cannot both find the same leftover socket and each remove the other's new one. The lock dies
  with its process, whatever kills it. A socket whose listener does not know the lock is asked by connecting to it.
- A socket that nobody answers on is a leftover and replaced. Anything else at the path is left alone, and said so.
- Only the owner may connect (mode 0600; ``?mode=660`` says otherwise), from the first moment on: the mode is set
  before the socket listens, and the process-wide umask is not touched.
- Closing removes the socket only if it is still the one that was made here. Both files may have gone already.
"""

import errno
import fcntl
import os
import socket
import stat
from contextlib import suppress

import anyio
from anyio.lowlevel import checkpoint

from cqrsbus.errors import ConnectError, ListenError
from cqrsbus.transports.socket_listener import SocketListener
from cqrsbus.transports.socket_stream import SocketStream
from cqrsbus.transports.url import Address, format_url

#: What fits into the system's socket address, in bytes (108 with the closing NUL on Linux).
MAX_PATH_BYTES = 107
DEFAULT_MODE = 0o600

_FIRST_RETRY_SECONDS = 0.005
_LONGEST_RETRY_SECONDS = 0.1


async def listen(address: Address, *, backlog: int) -> SocketListener:
    """Listen on a unix address; see `cqrsbus.transports.listen`."""
    path = _absolute(address.path, ListenError)
    mode = _mode(address)
    url = format_url(Address("unix", path=path))
    await checkpoint()
    try:
        lock = _lock(path)
        try:
            _remove_leftover(path)
            sock = _listening_socket(path, mode, backlog)
        except BaseException:
            _unlock(lock, path)
            raise
    except OSError as error:
        raise ListenError(f"cannot listen on {url}: {error.strerror or error}") from error
    made = _identity(path)

    def clean_up() -> None:
        with suppress(OSError):  # a directory that became read-only must not keep the listener open
            if made is not None and _identity(path) == made:
                os.unlink(path)
        _unlock(lock, path)

    return SocketListener(sock, url, lambda accepted, _: SocketStream(accepted, url), on_close=clean_up)


async def connect(address: Address) -> SocketStream:
    """Connect to a unix address; see `cqrsbus.transports.connect`."""
    path = _absolute(address.path, ConnectError)
    url = format_url(Address("unix", path=path))
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await _dial(sock, path)
    except OSError as error:
        sock.close()
        raise ConnectError(f"cannot connect to {url}: {error.strerror or error}") from error
    except BaseException:
        sock.close()
        raise
    return SocketStream(sock, url)


async def _dial(sock: socket.socket, path: str) -> None:
    # A full queue of waiting connections is reported at once, with nothing to wait for but time.
    pause = _FIRST_RETRY_SECONDS
    await checkpoint()
    while code := sock.connect_ex(path):
        if code != errno.EAGAIN:
            raise OSError(code, os.strerror(code))
        await anyio.sleep(pause)
        pause = min(2 * pause, _LONGEST_RETRY_SECONDS)


def _absolute(path: str, refusal: type[ConnectError]) -> str:
    absolute = os.path.abspath(path)
    length = len(os.fsencode(absolute))
    if length > MAX_PATH_BYTES:
        raise refusal(f"the socket path has {length} bytes, {MAX_PATH_BYTES} is the most: {absolute!r}")
    return absolute


def _mode(address: Address) -> int:
    text = address.options.get("mode", f"{DEFAULT_MODE:o}")
    if not (text.isascii() and text.isdigit() and len(text) <= 4) or set(text) & set("89"):
        raise ValueError(f"bad URL {format_url(address)!r}: mode must be octal, such as 660")
    return int(text, 8) & 0o777


def _lock(path: str) -> int:
    while True:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise _in_use(path) from None
        except BaseException:
            os.close(lock)
            raise
        # A strict umask must not shut out the next owner after a crash; another user's lock is not ours to change.
        with suppress(PermissionError):
            os.fchmod(lock, DEFAULT_MODE)
        # Its last holder may have removed the file between our open and our lock; then we hold a lock on nothing.
        opened = os.fstat(lock)
        if _identity(f"{path}.lock") == (opened.st_dev, opened.st_ino):
            return lock
        os.close(lock)


def _unlock(lock: int, path: str) -> None:
    opened = os.fstat(lock)
    if _identity(f"{path}.lock") == (opened.st_dev, opened.st_ino):
        with suppress(OSError):
            os.unlink(f"{path}.lock")
    os.close(lock)


def _remove_leftover(path: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ListenError(f"cannot listen on unix://{path}: the path exists and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        code = probe.connect_ex(path)
    if code in (0, errno.EAGAIN):
        raise _in_use(path)
    if code == errno.ECONNREFUSED:
        with suppress(FileNotFoundError):
            os.unlink(path)
    elif code != errno.ENOENT:
        raise OSError(code, f"cannot tell whether a broker listens there: {os.strerror(code)}")


def _listening_socket(path: str, mode: int, backlog: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    bound = False
    try:
        sock.bind(path)
        bound = True
        os.chmod(path, mode)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        if bound:
            with suppress(OSError):
                os.unlink(path)
        raise
    return sock


def _in_use(path: str) -> ListenError:
    return ListenError(f"cannot listen on unix://{path}: a live broker listens there already")


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
