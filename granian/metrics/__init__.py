"""The numbers of workers: pages of memory that the core writes, their sums, and their text for Prometheus."""

from .ledger import Ledger, Reading, WorkerReading
from .page import Page

__all__ = ["Ledger", "Page", "Reading", "WorkerReading"]
