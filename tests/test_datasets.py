import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from hubclean.datasets import (
    class_conditional_noise,
    instance_dependent_noise,
    pair_flip_noise,
    symmetric_noise,
    write_digits,
)
from hubclean.exceptions import DatasetError, LabelsError, ParameterError

SEEDS = [0, 1, 2]
CODES = np.random.default_rng(7).permutation(np.repeat([0, 1, 2], [500, 300, 200]))
MATRIX = np.array([[0.7, 0.1, 0.0], [0.1, 0.815, 0.2], [0.2, 0.085, 0.8]])
PROBS = np.random.default_rng(8).dirichlet([0.5] * 3, size=1000)

GENERATORS = {
    "symmetric": lambda y, seed: symmetric_noise(y, 0.123, random_state=seed),
    "pair_flip": lambda y, seed: pair_flip_noise(y, 0.123, random_state=seed),
    "matrix": lambda y, seed: class_conditional_noise(y, MATRIX, random_state=seed),
    "instance": lambda y, seed: instance_dependent_noise(
        y, 0.123, pred_probs=PROBS, random_state=seed
    ),
}


@pytest.fixture(params=GENERATORS, scope="module")
def noise(request):
    return GENERATORS[request.param]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "classes",
    [["ant", "bee", "caterpillar"], [-5, 0, 7], [1.0, 2.0, 4.0]],
    ids=["str", "int", "float"],
)
def test_labels_of_any_kind_are_changed_alike(noise, classes, seed):
    y = np.array(classes)[CODES]
    labels, is_changed = noise(y, seed)
    codes, is_changed_code = noise(CODES, seed)
    np.testing.assert_array_equal(labels, np.array(classes)[codes])
    np.testing.assert_array_equal(is_changed, is_changed_code)
    np.testing.assert_array_equal(is_changed, labels != y)
    assert labels.dtype == y.dtype
    assert is_changed.dtype == bool


def test_seeds_repeat_differ_and_leave_the_global_generator_alone(noise):
    before = np.random.get_state()[1].copy()
    masks = [noise(CODES, seed)[1] for seed in (0, 0, 1, None, None)]
    generator = np.random.RandomState(3)
    drawn = [noise(CODES, generator)[1] for _ in range(2)]
    noise(CODES, np.random.default_rng(3))
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    np.testing.assert_array_equal(masks[0], masks[1])
    for one, other in [masks[1:3], masks[2:4], masks[3:5], drawn]:
        assert (one != other).any()


def test_the_labels_passed_are_not_changed(noise):
    y = CODES.copy()
    noise(y, 0)
    np.testing.assert_array_equal(y, CODES)


def test_series_lists_and_bools():
    y = CODES > 0
    labels, is_changed = symmetric_noise(pd.Series(y), 0.1, random_state=0)
    assert labels.dtype == bool
    np.testing.assert_array_equal(labels, y ^ is_changed)
    from_list, _ = symmetric_noise(y.tolist(), 0.1, random_state=0)
    np.testing.assert_array_equal(from_list, labels)


@given(n=st.integers(2, 300), frac=st.floats(0, 1), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_exact_counts(n, frac, seed):
    y = np.arange(n) % 5
    probs = np.random.default_rng(seed).dirichlet([0.3] * len(np.unique(y)), size=n)
    for labels, is_changed in (
        symmetric_noise(y, frac, random_state=seed),
        pair_flip_noise(y, frac, random_state=seed),
        instance_dependent_noise(y, frac, pred_probs=probs, random_state=seed),
    ):
        assert is_changed.sum() == round(frac * n)
        np.testing.assert_array_equal(labels != y, is_changed)


@pytest.mark.parametrize("seed", SEEDS)
def test_symmetric_noise_spreads_evenly(seed):
    y = np.repeat(np.arange(4), 20_000)
    labels, is_changed = symmetric_noise(y, 0.3, random_state=seed)
    counts = np.histogram2d(y[is_changed], labels[is_changed], bins=4)[0]
    # 24,000 changes over 12 pairs: 2,000 each, standard deviation 43.
    off_diagonal = counts[~np.eye(4, dtype=bool)]
    np.testing.assert_allclose(off_diagonal, 2000, atol=5 * 43)
    assert np.abs(off_diagonal - 2000).max() > 0
    assert np.trace(counts) == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_pair_flips_go_to_the_next_class_only(seed):
    labels, is_changed = pair_flip_noise(CODES, 0.101, random_state=seed)
    np.testing.assert_array_equal(labels[is_changed], (CODES[is_changed] + 1) % 3)
    shares = np.bincount(CODES[is_changed])
    np.testing.assert_allclose(shares, 0.101 * np.bincount(CODES), atol=1)


@pytest.mark.parametrize("seed", SEEDS)
def test_class_conditional_noise_follows_its_matrix_exactly(seed):
    labels, _ = class_conditional_noise(CODES, MATRIX, random_state=seed)
    counts = np.array(
        [[((labels == i) & (CODES == j)).sum() for j in range(3)] for i in range(3)]
    )
    # 500, 300 and 200 rows; column 1 gives 30, 244.5 and 25.5.
    np.testing.assert_array_equal(counts[:, 0], [350, 50, 100])
    np.testing.assert_array_equal(counts[:, 2], [0, 40, 160])
    assert counts[:, 1].tolist() in ([30, 245, 25], [30, 244, 26])


def test_tied_remainders_fall_either_way():
    results = {
        tuple(
            class_conditional_noise([0, 1, 1], [[1, 0.5], [0, 0.5]], random_state=s)[0]
        )
        for s in range(12)
    }  # the two rows of class 1 share out evenly: one each way, whichever
    assert results == {(0, 0, 1), (0, 1, 0)}
    quotas = {
        int(
            class_conditional_noise([0, 1], [[1, 0.5], [0, 0.5]], random_state=s)[
                1
            ].sum()
        )
        for s in range(12)
    }
    assert quotas == {0, 1}


def test_instance_dependent_noise_changes_to_the_runner_up():
    labels, is_changed = instance_dependent_noise(
        CODES, 0.4, pred_probs=PROBS, random_state=0
    )
    others = PROBS.copy()
    others[np.arange(1000), CODES] = -1
    np.testing.assert_array_equal(labels[is_changed], others.argmax(axis=1)[is_changed])


def test_instance_dependent_rates_follow_the_definition():
    margins = np.repeat([0.0, -0.5, 0.7, 0.9, 1.0], 4)
    probs = np.column_stack([(1 + margins) / 2, (1 - margins) / 2])
    y = np.r_[np.zeros(20, dtype=int), 1]
    probs = np.vstack([probs, [0, 1]])  # one more row, of margin 1
    draws = 4000
    changed = np.mean(
        [
            instance_dependent_noise(
                y, 4 / 21, pred_probs=probs, temperature=0.2, random_state=seed
            )[1]
            for seed in range(draws)
        ],
        axis=0,
    )
    # By hand: the margins of 0 are capped at 1/2; the 2 changes left are shared as
    # exp(-5 m) among 4 rows of 0.5, 4 of 0.7, 4 of 0.9 and 5 of 1.
    weights = np.exp(-5 * np.abs(np.r_[margins[4:], 1.0]))
    expected = np.r_[np.full(4, 0.5), 2 * weights / weights.sum()]
    assert expected.max() <= 0.5
    np.testing.assert_allclose(changed, expected, atol=5 * np.sqrt(0.25 / draws))


def test_low_temperature_takes_the_smallest_margins():
    is_changed = instance_dependent_noise(
        CODES, 0.2, pred_probs=PROBS, temperature=1e-6, random_state=0
    )[1]
    top = np.sort(PROBS, axis=1)
    margins = top[:, -1] - top[:, -2]
    # At most one in two is changed: 200 of the 400 smallest margins.
    assert is_changed[np.argsort(margins)[:400]].sum() == 200


@pytest.mark.parametrize("temperature", [1e-5, 1e-6, 1e-12, 1e-320])
@pytest.mark.parametrize("frac", [0.1, 0.5, 0.6, 1.0])
def test_any_low_temperature_changes_the_rows_asked_for(temperature, frac):
    is_changed = instance_dependent_noise(
        CODES, frac, pred_probs=PROBS, temperature=temperature, random_state=0
    )[1]
    assert is_changed.sum() == round(frac * 1000)
    margins = np.diff(np.sort(PROBS, axis=1)[:, -2:])[:, 0]
    likely = min(1, 2 * frac)
    assert margins[is_changed].max() <= np.quantile(margins, likely) + 1e-3


def test_data_frames_named_like_the_classes_are_read_by_name():
    names = np.array(["ant", "bee", "caterpillar"])
    y, turned = names[CODES], names[[2, 0, 1]]
    matrix = pd.DataFrame(MATRIX, index=names, columns=names)
    probs = pd.DataFrame(PROBS, columns=names)
    for noisy in (
        lambda m, p: class_conditional_noise(y, m, random_state=0),
        lambda m, p: instance_dependent_noise(y, 0.2, pred_probs=p, random_state=0),
    ):
        labels, _ = noisy(matrix.to_numpy(), PROBS)
        by_name, _ = noisy(matrix.loc[turned, turned], probs[turned])
        np.testing.assert_array_equal(by_name, labels)


def test_instance_dependent_noise_cross_validates_an_estimator():
    X, y = load_digits(return_X_y=True)
    names = np.array([f"digit {k}" for k in range(10)])
    settings = {"X": X / 16, "estimator": LogisticRegression(), "cv": 3}
    settings |= {"temperature": 0.2, "random_state": 0}
    labels, is_changed = instance_dependent_noise(names[y], 0.1, **settings)
    again = instance_dependent_noise(names[y], 0.1, **settings)[0]
    np.testing.assert_array_equal(labels, again)
    assert is_changed.sum() == 180
    # A model of another kind is less sure of the rows that were changed.
    sure = GaussianNB(var_smoothing=0.1).fit(X, y).predict_proba(X).max(axis=1)
    assert sure[is_changed].mean() < sure[~is_changed].mean() - 0.03


@pytest.mark.parametrize("frac", [-0.1, 1.1, np.nan, "half", None])
def test_a_share_out_of_range(frac):
    with pytest.raises(ParameterError, match=r"`frac` must be in \[0, 1\]; got"):
        symmetric_noise(CODES, frac)


@pytest.mark.parametrize(
    "y, message",
    [
        (np.zeros((3, 2)), r"one column of labels; got the shape \(3, 2\)"),
        ([], r"got the shape \(0,\)"),
        (["a", None, "b"], "no missing labels; got 1, the first in row 1"),
        ([0.0, np.nan], "no missing labels; got 1, the first in row 1"),
        ([0.5, 1.2], "discrete labels; got continuous"),
        (["a", "a"], "two classes or more; got one"),
        (np.array(["a", 1], dtype=object), "of one type; got several"),
        (np.ma.array([0, 1, 2], mask=[0, 0, 1]), "got 1, the first in row 2"),
    ],
)
def test_labels_that_cannot_be_used(y, message):
    with pytest.raises(LabelsError, match=message):
        symmetric_noise(y, 0.1)


@pytest.mark.parametrize(
    "matrix, message",
    [
        (np.eye(2), r"3 rows of 3 finite numbers.*got the shape \(2, 2\)"),
        (MATRIX.T, "Transpose it if its rows sum to 1"),
        (np.eye(3) * np.nan, "with NaN or infinity"),
        ([["a"] * 3] * 3, "`noise_matrix` must be numbers"),
        ([[1.2, 0, 0], [-0.2, 1, 0], [0, 0, 1]], "the smallest number -0.2"),
    ],
)
def test_noise_matrices_that_cannot_be_used(matrix, message):
    with pytest.raises(ParameterError, match=message):
        class_conditional_noise(CODES, matrix)


def test_instance_dependent_noise_says_what_is_missing():
    with pytest.raises(ParameterError, match="pass `pred_probs`, or both"):
        instance_dependent_noise(CODES, 0.1, X=PROBS)
    with pytest.raises(ParameterError, match="1000 rows of 3 finite numbers"):
        instance_dependent_noise(CODES, 0.1, pred_probs=PROBS[:, :2])
    with pytest.raises(ParameterError, match="`temperature` must be above 0; got 0"):
        instance_dependent_noise(CODES, 0.1, pred_probs=PROBS, temperature=0)
    with pytest.raises(ParameterError, match="`temperature` must be .* got None"):
        instance_dependent_noise(CODES, 0.1, pred_probs=PROBS, temperature=None)
    model = {"X": np.eye(3), "estimator": GaussianNB()}
    with pytest.raises(LabelsError, match="needs two rows"):
        instance_dependent_noise([0, 0, 1], 0.1, **model)
    for cv in (1, 2.5, None):
        with pytest.raises(ParameterError, match="`cv` must be an int of at least 2"):
            instance_dependent_noise([0, 0, 1], 0.1, **model, cv=cv)


@pytest.mark.parametrize("seed", [-1, 1.5, "a"])
def test_seeds_that_cannot_be_used(noise, seed):
    with pytest.raises(ParameterError, match="_noise: `random_state` must be None, an"):
        noise(CODES, seed)


def test_write_digits(tmp_path):
    deeplake = pytest.importorskip("deeplake")
    path = write_digits(tmp_path / "new" / "digits")
    assert path == str(tmp_path / "new" / "digits")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["digits"]
    dataset = deeplake.open_read_only(path)
    digits = load_digits()
    np.testing.assert_array_equal(dataset["labels"][:], digits.target)
    np.testing.assert_array_equal(
        np.rint(dataset["images"][:] / 255 * 16).reshape(-1, 8, 8), digits.images
    )
    assert list(dataset["labels"].metadata["class_names"]) == list("0123456789")
    assert bytes(dataset["images"].get_bytes(0)[1:4]) == b"PNG"
    version = dataset.version
    assert write_digits(path) == path
    assert deeplake.open_read_only(path).version == version


def test_write_digits_touches_nothing_else(tmp_path):
    pytest.importorskip("deeplake")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match="there is something else already"):
        write_digits(tmp_path)
    with pytest.raises(DatasetError, match="there is something else already"):
        write_digits(tmp_path / "notes.txt")
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
