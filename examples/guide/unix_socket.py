import anyio

from cqrsbus import Broker, Bus


async def main() -> None:
    async with anyio.TemporaryDirectory() as directory:
        path = anyio.Path(directory, "bus.sock")
        url = f"unix://{path}"
        async with Broker(url), Bus("local", url) as bus:
            mode = (await path.stat()).st_mode & 0o777
            print(f"{bus.status} over a socket with mode {mode:o}")
        print("socket left behind:", await path.exists())


if __name__ == "__main__":
    anyio.run(main)
