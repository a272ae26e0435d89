"""Tests of services: the same buses, with a broker of their own and a view of all they do."""

from cqrsbus.testing.failures import Failure, Failures
from cqrsbus.testing.faults import Fault, Faults
from cqrsbus.testing.harness import TestBus
from cqrsbus.testing.records import Called, CalledRecords, Handled, HandledRecords, Record, Records

__all__ = [
    "Called",
    "CalledRecords",
    "Failure",
    "Failures",
    "Fault",
    "Faults",
    "Handled",
    "HandledRecords",
    "Record",
    "Records",
    "TestBus",
]
