"""``python -m associative_embedding`` runs the command ``ae``."""

import sys

from associative_embedding.apps.cli.main import main

sys.exit(main())
