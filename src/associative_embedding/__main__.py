"""``python -m associative_embedding`` is the command ``ae``."""

import sys

from associative_embedding.cli import main

sys.exit(main())
