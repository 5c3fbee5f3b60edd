"""Work with the B1500 driver of PyMeasure, in an environment of its own; prints what it saw as JSON.

python pymeasure_client.py RESOURCE
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable

warnings.simplefilter("ignore")

from pymeasure.instruments.agilent import AgilentB1500  # noqa: E402

AUTO = "Auto Ranging"


def refusal(action: Callable[[], object]) -> str:
    """The error that an action ends with."""
    try:
        action()
    except OSError as error:
        return str(error)
    return "none"


def values(analyser: AgilentB1500) -> list[tuple[str, str, str, float]]:
    """Data of the measurement that was triggered: status, unit, quantity, value."""
    return [analyser._data_format.format_single(one) for one in analyser.read().split(",")]


def main(resource: str) -> dict[str, object]:
    analyser = AgilentB1500(resource, visa_library="@py", timeout=20_000)
    seen: dict[str, object] = {"identity": analyser.ask("*IDN?"), "modules": analyser.query_modules()}
    analyser.write("*RST")
    analyser.initialize_all_smus()
    analyser.initialize_all_spgus()
    analyser.data_format(21, mode=1)
    high, low, closed = analyser.smus[1], analyser.smus[2], analyser.smus[3]
    high.enable()
    low.enable()
    low.force("voltage", AUTO, 0.0, 0.01)
    high.force("voltage", AUTO, 1.0, 0.01)
    seen["forced"] = high.status["SMU1"]["Voltage Output (V)"]
    analyser.meas_mode("SPOT", high, low)
    analyser.send_trigger()
    seen["spot"] = values(analyser)

    analyser.meas_mode("STAIRCASE_SWEEP", high, low)
    high.staircase_sweep_source("VOLTAGE", "LINEAR_DOUBLE", AUTO, 0.0, 2.0, 11, 0.01)
    analyser.sweep_timing(0.0, 0.001, step_delay=0.001)
    analyser.send_trigger()
    seen["sweep"] = values(analyser)

    analyser.meas_mode("SAMPLING", high, low)
    analyser.sampling_mode = "LINEAR"
    analyser.sampling_timing(0.0, 0.01, 7)
    high.sampling_source("VOLTAGE", AUTO, 0.0, 0.5, 0.01)
    analyser.data_format(21, mode=0)
    analyser.send_trigger()
    seen["sampling"] = values(analyser)

    analyser.spgus[5].period = 1e-4
    seen["period"] = analyser.spgus[5].period
    seen["learnt"] = [analyser.query_adc_setup(), analyser.query_meas_settings(), analyser.query_meas_ranges()]
    seen["errors"] = refusal(analyser.check_errors)
    seen["closed"] = refusal(lambda: closed.force("voltage", AUTO, 0.1, 0.01))
    seen["too high"] = refusal(lambda: high.force("voltage", AUTO, 1000.0, 0.01))
    analyser.write("FOO 1")
    seen["unknown"] = refusal(analyser.check_errors)
    high.disable()
    low.disable()
    return seen


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(main(sys.argv[1])))
