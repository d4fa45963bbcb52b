"""Airtight SQLAlchemy sessions: found, fixed, caught and made impossible.

Importing this package loads neither the analysis nor SQLAlchemy.
"""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = ["__version__"]
