"""``python -m cqrsbus``: the same as the command ``cqrsbus``."""

from cqrsbus.cli.main import main

if __name__ == "__main__":
    main()
