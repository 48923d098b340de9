"""Plumbline from Python: connect, import, read judgments as DataFrames, freeze, export."""

from .connection import Plumbline, PlumblineError
from .datasets import Export, Snapshot
from .project import ImportFailed, Project

__all__ = ["Export", "ImportFailed", "Plumbline", "PlumblineError", "Project", "Snapshot"]
__version__ = "0.1.0"
