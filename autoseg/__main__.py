"""`python -m autoseg VERB …`."""

import sys

from autoseg.cli.umbrella import main

sys.exit(main())
