"""Verdicts with the literal rows that prove them, diagnosed as `checks.base.invalid` does it."""

from ticketlab.checks.diagnosis import diagnose
from ticketlab.checks.evidence import evidence_of
from ticketlab.checks.verdict import Anomaly, Status, Verdict
from ticketlab.report.explain import TrialVerdict

SETTING = {"trial": 1, "strategy": "naive", "safe": False, "buyers": 16, "pool_size": 20, "repeat": 1}


def proven(*rows, anomaly=None, check="the_check", status="INVALID", summary=""):
    """A verdict that these rows prove."""
    named, found = Anomaly(anomaly) if anomaly else None, evidence_of(rows)
    return Verdict(
        check=check,
        status=Status(status),
        summary=summary,
        anomaly=named,
        operations=found,
        diagnosis=diagnose(named, found),
    )


def of_trial(verdict, **setting):
    """A verdict on the first trial of the control `naive`, unless it says otherwise."""
    return TrialVerdict(**SETTING | setting, verdict=verdict)
