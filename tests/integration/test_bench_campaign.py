"""`rmhil program` on a twin, struck at random moments: nothing is lost, nothing is done twice, nothing is left on.

Once by each kind of fault by default; hundreds of times with `-m long`, on several chips, also while a job is resumed.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

from tests.integration.bench_campaign import AGAIN, SEEDS, campaign, strike
from tests.integration.bench_faults import Blow, Phase
from tests.twins import fresh_twin

if sys.platform == "win32":
    pytest.skip("POSIX signals", allow_module_level=True)


def test_a_job_is_brought_to_its_end_after_each_kind_of_fault(tmp_path: Path) -> None:
    """Six at most hit one job, all but the first while it is resumed."""
    left = list(Blow)
    with campaign(fresh_twin(), tmp_path, shape=(2, 1)) as work:
        phases = work.undisturbed(SEEDS[0])
        jobs = itertools.count()
        while left:
            trial = work.trial(next(jobs), SEEDS[0], phases, left[:6])
            assert trial.struck, "the first one always hits its job"
            left = left[len(trial.struck) :]


@pytest.mark.long
def test_a_job_is_brought_to_its_end_after_faults_at_any_moment(tmp_path: Path) -> None:
    with campaign(fresh_twin(), tmp_path, shape=(3, 2)) as work:
        trials = list(strike(work, faults=300, seeds=SEEDS, again=AGAIN))
    struck = [one for trial in trials for one in trial.struck]
    assert {one.blow for one in struck} == set(Blow)
    assert {one.phase for one in struck} == {*Phase, None}, "also while a job was resumed"
    assert sum(trial.account.unsure for trial in trials) > sum(trial.account.unsure_given for trial in trials) > 0
