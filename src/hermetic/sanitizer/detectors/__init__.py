"""One detector a file; see `hermetic.sanitizer.detector` for the contract. Presence is registration."""
