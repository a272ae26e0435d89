"""Which cqrsbus this is."""

__version__ = "0.1.0"
#: How a client and a broker introduce themselves to each other.
PRODUCT = f"cqrsbus/{__version__}"
