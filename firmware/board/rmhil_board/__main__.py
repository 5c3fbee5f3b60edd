"""`python3 -m rmhil_board`."""

import sys

from rmhil_board.cli import main

sys.exit(main())
