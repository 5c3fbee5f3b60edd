"""Work with the B1500 driver of QCoDeS, in an environment of its own; prints what it saw as JSON.

python qcodes_client.py RESOURCE
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable

warnings.simplefilter("ignore")

from qcodes.instrument_drivers.Keysight.keysightb1500 import KeysightB1500, constants  # noqa: E402


def refusal(action: Callable[[], object]) -> str:
    """The error that an action ends with."""
    try:
        action()
    except RuntimeError as error:
        return str(error)
    return "none"


def main(resource: str) -> dict[str, object]:
    analyser = KeysightB1500("analyser", resource, visalib="@py", timeout=20)
    seen: dict[str, object] = {
        "identity": analyser.get_idn(),
        "modules": {int(slot): type(module).__name__ for slot, module in analyser.by_slot.items()},
    }
    analyser.reset()
    high, low, closed = analyser.smu1, analyser.smu2, analyser.smu3
    high.enable_outputs()
    low.enable_outputs()
    seen["enabled"] = [high.is_enabled(), low.is_enabled(), closed.is_enabled()]
    for smu in (high, low):
        smu.source_config(output_range=constants.VOutputRange.AUTO, compliance=0.01)
        smu.use_high_speed_adc()
    low.voltage(0.0)
    high.voltage(1.0)
    seen["spot"] = [high.current(), low.current(), high.voltage()]

    high.set_average_samples_for_high_speed_adc(1)
    high.iv_sweep.hold_time(0.0)
    high.iv_sweep.delay(0.001)
    high.iv_sweep.step_delay(0.05)
    seen["delays"] = [high.iv_sweep.delay(), high.iv_sweep.step_delay()]
    high.iv_sweep.sweep_auto_abort(constants.Abort.DISABLED)
    high.setup_staircase_sweep(
        v_start=0.0,
        v_end=2.0,
        n_steps=11,
        av_coef=1,
        step_delay=0.05,
        i_meas_range=constants.IMeasRange.AUTO,
        i_comp=0.01,
        sweep_mode=constants.SweepMode.LINEAR_TWO_WAY,
        abort_enabled=constants.Abort.DISABLED,
    )
    analyser.set_measurement_mode(mode=constants.MM.Mode.STAIRCASE_SWEEP, channels=(1, 2))
    analyser.run_iv_staircase_sweep.set_names_labels_and_units()
    currents = analyser.run_iv_staircase_sweep()
    seen["sweep"] = [list(analyser.run_iv_staircase_sweep.source_voltage.value), *(list(one) for one in currents)]
    seen["statuses"] = "".join(analyser.run_iv_staircase_sweep.param1.status)

    high.timing_parameters(h_bias=0.0, interval=0.01, number=7)
    high.source_config(output_range=constants.VOutputRange.AUTO, compliance=0.01)
    high.voltage(0.5)
    high.measurement_mode(constants.MM.Mode.SAMPLING)
    seen["sampling"] = [float(one) for one in high.sampling_measurement_trace()]

    seen["errors"] = analyser.error_message()
    seen["closed"] = refusal(lambda: analyser.write("DV 3,0,0.1,0.01"))
    seen["too high"] = refusal(lambda: analyser.write("DV 1,0,1000,0.01"))
    seen["unknown"] = refusal(lambda: analyser.write("FOO 1"))
    analyser.disable_channels()
    seen["ranges"] = len(high._get_current_measurement_range())
    analyser.close()
    return seen


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(main(sys.argv[1])))
