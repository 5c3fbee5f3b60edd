"""Write-verify: pulse, read, compare; repeat until a cell is in tolerance or out of pulses.

`policy` says what a policy is, `incremental` and `adaptive` are the two that come with rmhil. `population` is what
`adaptive` knows beforehand, and `pilot` learns it. `ramps` forms and erases, `cell_run` is the loop.
"""

from __future__ import annotations

from rmhil.errors import UnknownNameError
from rmhil.write_verify.adaptive import Adaptive
from rmhil.write_verify.incremental import Incremental
from rmhil.write_verify.policy import AnyPolicy, PerCell, Policy, Silence, Verdict
from rmhil.write_verify.population import LinePrior, Population

__all__ = [
    "Adaptive",
    "AnyPolicy",
    "Incremental",
    "LinePrior",
    "PerCell",
    "Policy",
    "Population",
    "Silence",
    "Verdict",
    "find_policy",
    "policy_names",
]

_POLICIES: dict[str, AnyPolicy] = {"adaptive": Adaptive(), "incremental": Incremental()}


def policy_names() -> list[str]:
    """Names of the policies that come with rmhil."""
    return sorted(_POLICIES)


def find_policy(policy: str | AnyPolicy) -> AnyPolicy:
    """A policy by name with its default settings, or the policy itself.

    Raises:
        UnknownNameError: no such policy.
    """
    if not isinstance(policy, str):
        return policy
    if policy not in _POLICIES:
        raise UnknownNameError("policy", policy, policy_names())
    return _POLICIES[policy]
