"""The pictures of probabilities: their numbers by hand, and PNGs that open."""

import numpy as np
import pytest
from PIL import Image
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_fscore_support

from recbench.metric import Probabilities
from recbench.reliability import binned, curves, pictures


def test_bins_hold_equally_many_and_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    p_Q = rng.random(1500)
    true_Q = rng.random(1500) < p_Q**2
    mean, share, error = binned(p_Q, true_Q, np.ones(1500))
    theirs = calibration_curve(true_Q, p_Q, n_bins=15, strategy="quantile")
    np.testing.assert_allclose(share, theirs[0])
    np.testing.assert_allclose(mean, theirs[1])
    np.testing.assert_allclose(error, np.sqrt(share * (1 - share) / 100))


def test_drawn_questions_stand_for_all_that_they_were_drawn_from():
    p_Q, true_Q = np.array([0.1, 0.1, 0.4]), np.array([True, False, False])
    mean, share, _ = binned(np.repeat(p_Q, 15), np.repeat(true_Q, 15), np.repeat([1.0, 9.0, 1.0], 15))
    rising_Q = 0.1 + 1e-9 * np.arange(30)  # two to a bin
    mixed = binned(rising_Q, np.arange(30) % 2 == 0, np.where(np.arange(30) % 2, 9.0, 1.0))
    np.testing.assert_allclose(mixed[1], 0.1)
    np.testing.assert_allclose(
        mixed[2], np.sqrt(0.1 * 0.9 / (10**2 / 82))
    )  # two of weights 1 and 9 tell as much as 1.2
    assert share == pytest.approx([0.1, 0]) and mean == pytest.approx([0.1, 0.4])


def test_equal_probabilities_share_a_bin():
    """Who always says the share that is true has one point, on the diagonal, however the rows are ordered."""
    true_Q = np.arange(1000) < 300
    for some in (true_Q, true_Q[::-1]):
        mean, share, _ = binned(np.full(1000, 0.3), some, np.ones(1000))
        assert (mean.tolist(), share.tolist()) == ([pytest.approx(0.3)], [pytest.approx(0.3)])
    p_Q = np.repeat([0.1, 0.2, 0.9], [400, 500, 100])  # the middles lie in bins 3, 9 and 14
    assert binned(p_Q, true_Q, np.ones(1000))[1] == pytest.approx([0.75, 0, 0])


def test_curves_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    p_Q, true_Q = rng.random(300).round(2), rng.random(300) < 0.3
    threshold, precision, recall, f1 = curves(p_Q, true_Q)
    assert np.array_equal(threshold, np.unique(p_Q))
    for at in (0, 7, len(threshold) - 1):
        theirs = precision_recall_fscore_support(true_Q, p_Q >= threshold[at], average="binary", zero_division=0)
        assert (precision[at], recall[at], f1[at]) == pytest.approx(theirs[:3])


@pytest.mark.parametrize("n_behaviors", [1, 2, 3])
def test_pictures_open_and_are_the_same_each_time(n_behaviors, tmp_path):
    rng = np.random.default_rng(2)
    p_QB = rng.random((200, n_behaviors)) * 0.4
    names = ("like", "comment", "share")[:n_behaviors]
    told = Probabilities(
        p_QB, rng.random(p_QB.shape) < p_QB, np.arange(200), np.ones(200), names, np.full(n_behaviors, 0.2)
    )
    drawn = pictures(told, "prior on toy")
    assert set(drawn) == {"reliability", "thresholds"}
    for name, picture in drawn.items():
        assert picture.title.startswith("prior on toy: ") and picture.png == pictures(told, "prior on toy")[name].png
        (tmp_path / name).write_bytes(picture.png)
        width, height = Image.open(tmp_path / name).size
        assert width == 1080 and height == round(150 * (0.7 + 3.1 * -(-n_behaviors // 2)))
