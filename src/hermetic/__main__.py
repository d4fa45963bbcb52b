"""`python -m hermetic`."""

from hermetic.cli.main import process

process()
