"""Sessions in which the eight anti-patterns cannot be written. Needs SQLAlchemy 2.0.22 or newer."""
