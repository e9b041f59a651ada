"""Boards check their fields; a plan's key is equal where the plan is, and different where a number could be."""

import subprocess
from dataclasses import replace

import pytest

from recbench.errors import RecbenchError
from recbench.machine import commit
from recbench.plan import Board, Plan

BOARD = Board("shop", "shop-data", ("ndcg@10",), "ndcg@10", test_window_days=7, valid_window_days=7.0)
PLAN = Plan(BOARD, True, "shop-data", {"root": "", "n": 1}, "ease", {"l2": 0.5}, "recbench-classic", "1.0", 1)


@pytest.mark.parametrize(("changes", "message"), [
    ({"split": "leave_one_out"}, "split must be one of .*; given 'leave_one_out'; did you mean 'leave_last_out'?"),
    ({"repeat": "never"}, "repeat must be one of new, any; given 'never'"),
    ({"headline": "recall@5"}, "headline recall@5 is not among its metrics ndcg@10"),
    ({"metrics": "ndcg@10"}, "metrics must be a list; given 'ndcg@10'"),
    ({"version": "2"}, "version must be a whole number; given '2'"),
    ({"version": True}, "version must be a whole number; given True"),
    ({"test_window_days": "28"}, "test_window_days must be a number; given '28'"),
    ({"test_window_days": 0}, "needs test_window_days and valid_window_days above 0"),
    ({"valid_window_days": float("nan")}, "needs test_window_days and valid_window_days above 0"),
    ({"filters": 5}, "filters must be name: value pairs; given 5"),
    ({"filters": {"min_events": 5}}, "filters may be min_user_events, min_item_events; given 'min_events'"),
    ({"next_k": 0}, "next_k must be at least 1; given 0"),
])  # fmt: skip
def test_a_wrong_field_is_named(changes, message):
    with pytest.raises(RecbenchError, match=f"board shop: .*{message.replace('?', '[?]')}"):
        replace(BOARD, **changes)


def test_the_meaning_alone_is_outside_the_protocol():
    assert replace(BOARD, meaning="words").protocol_hash == BOARD.protocol_hash
    for changes in ({"repeat": "any"}, {"version": 2}, {"seeds": (1,)}, {"filters": {"min_user_events": 5}}):
        assert replace(BOARD, **changes).protocol_hash != BOARD.protocol_hash


def test_equal_plan_equal_key():
    assert replace(PLAN, model_params={"l2": 0.5}).key == PLAN.key and len(PLAN.key) == 12
    keys = {PLAN.key}
    for changes in (
        {"seed": 2}, {"model": "popular"}, {"model_params": {"l2": 0.6}}, {"data_params": {"root": "", "n": 2}},
        {"board": replace(BOARD, repeat="any")}, {"version": "1.1"}, {"precision": "bf16-mixed"}, {"max_minutes": 1.0},
    ):  # fmt: skip
        keys.add(replace(PLAN, **changes).key)
    assert len(keys) == 9, "every one of these can change a number"


def test_the_commit_is_dirty_where_code_differs_and_not_where_a_report_does(tmp_path):
    def git(*words):
        subprocess.run(["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True)

    for folder in ("recbench", "docs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text("1")
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "first")
    clean = commit.__wrapped__(tmp_path)
    (tmp_path / "docs" / "a.txt").write_text("2")
    (tmp_path / "leaderboards.json").write_text("{}")
    assert clean and commit.__wrapped__(tmp_path) == clean
    (tmp_path / "recbench" / "b.py").write_text("3")
    assert commit.__wrapped__(tmp_path) == f"{clean}-dirty"
    assert commit.__wrapped__(tmp_path / "docs") == ""
