import pytest

from benchmarks.goals import GOALS, Goal, judge

FAST = Goal("rate", ("ours", "rate"), ("peer", "rate"), 2.0, 3.0, more=True)
CHEAP = Goal("cost", ("ours", "cost"), ("peer", "cost"), 1.0, 0.5)


@pytest.mark.parametrize(
    ("goal", "ours", "verdict"),
    [
        (FAST, 1.9, "missed"),
        (FAST, 2.0, "met"),
        (FAST, 3.0, "moonshot"),
        (CHEAP, 1.1, "missed"),
        (CHEAP, 1.0, "met"),
        (CHEAP, 0.5, "moonshot"),
    ],
)
def test_a_goal_is_met_or_missed(goal: Goal, ours: float, verdict: str) -> None:
    (outcome,) = judge({"ours": {goal.ours[1]: [ours]}, "peer": {goal.ours[1]: [1.0]}}, [goal])
    assert outcome.verdict == verdict
    assert outcome.met == (verdict != "missed")


@pytest.mark.parametrize("peer", [{}, {"rate": [1.0]}, {"rate": [1.0, 0.0]}])
def test_what_was_not_measured_is_not_met(peer: dict[str, list[float]]) -> None:
    (outcome,) = judge({"ours": {"rate": [9.0, 9.0]}, "peer": peer}, [FAST])
    assert (outcome.verdict, outcome.met) == ("not measured", False)


def test_a_bound_is_a_number() -> None:
    bound = Goal("growth", ("broker", "MiB"), 8.0, 1.0)
    assert judge({"broker": {"MiB": [4.0]}}, [bound])[0].ratio is not None
    assert judge({"broker": {"MiB": [9.0]}}, [bound])[0].verdict == "missed"


def test_the_moonshot_is_never_less_than_the_goal() -> None:
    for goal in GOALS:
        if goal.moonshot is not None:
            assert (goal.moonshot > goal.goal) == goal.more, goal.figure
