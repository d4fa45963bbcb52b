"""`python -m hermetic`."""

import sys

from hermetic.cli.main import main

sys.exit(main())
