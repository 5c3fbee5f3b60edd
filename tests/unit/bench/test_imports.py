from __future__ import annotations

import subprocess
import sys


def test_the_driver_is_imported_without_torch_and_without_a_visa_library() -> None:
    script = (
        "import sys, rmhil.bench; print([name for name in ('torch', 'pyvisa', 'sim_backend') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
