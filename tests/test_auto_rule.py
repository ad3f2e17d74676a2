import pickle

import numpy as np
import pytest
from cleanlab.benchmarking.noise_generation import generate_noise_matrix_from_trace
from scipy.special import softmax
from sklearn.base import clone
from sklearn.datasets import load_digits, make_blobs
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

import hubclean._noise_model
from hubclean import HubLabelCleaner, find_label_issues
from hubclean._auto_rule import (
    best_expected_f1_cut,
    fit_error_model,
    learn_auto_rule,
    least_cut_of_share,
)
from hubclean._class_profiles import fit_class_profiles, regroup_class_profiles
from hubclean._judgement import RULE_NAMES, predictions
from hubclean._leave_one_out import ridge_pred_probs
from hubclean._noise_model import TEMPERATURE, _Fit, fit_noise_model, logits_of
from hubclean.datasets import (
    class_conditional_noise,
    instance_dependent_noise,
    pair_flip_noise,
    symmetric_noise,
)
from tests.issue_problems import cleanlab_mask

SEEDS = [0, 1, 2]


def draw(n_rows, n_classes, seed, scale=3.0):
    """True classes drawn from known probabilities, and these."""
    rng = np.random.default_rng(seed)
    probs = softmax(scale * rng.normal(size=(n_rows, n_classes)), axis=1)
    true = (probs.cumsum(axis=1) < rng.random((n_rows, 1))).sum(axis=1)
    return np.minimum(true, n_classes - 1), probs


def f1(mask, wrong):
    return 2 * (mask & wrong).sum() / (mask.sum() + wrong.sum())


def best_f1(quality, wrong):
    found = np.cumsum(wrong[np.argsort(quality, kind="stable")])
    return (2 * found / (np.arange(1, len(wrong) + 1) + wrong.sum())).max()


@pytest.mark.parametrize("sharpness", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["uniform", "pairs", "runner_up"])
def test_gradient_of_the_loss(kind, sharpness):
    true, probs = draw(200, 4, 0)
    labels, _ = symmetric_noise(true, 0.2, random_state=0)
    fit = _Fit(labels, logits_of(probs), kind, sharpness)
    at = fit.start + 0.3 * np.random.default_rng(1).normal(size=len(fit.start))
    steps = 1e-6 * np.eye(len(at))
    numeric = [(fit.loss(at + s)[0] - fit.loss(at - s)[0]) / 2e-6 for s in steps]
    np.testing.assert_allclose(fit.loss(at)[1], numeric, atol=1e-7)
    assert np.abs(numeric).max() > 0.01


@pytest.mark.parametrize("kind", ["uniform", "pairs", "runner_up"])
@pytest.mark.parametrize("many", [3, 50])
def test_many_numbers_are_fitted_to_in_blocks(kind, many, monkeypatch):
    true, probs = draw(500, 4, 0)
    labels, _ = symmetric_noise(true, 0.2, random_state=0)
    logits = logits_of(probs)
    at_once = fit_noise_model(labels, logits, kind)
    monkeypatch.setattr(hubclean._noise_model, "_BLOCK", 130)
    monkeypatch.setattr(hubclean._noise_model, "_MOST_COUNTED", many)
    assert len(_Fit(labels, logits, kind, 0.1).blocks) == 16  # of 32 rows, the last 20
    blockwise = fit_noise_model(labels, logits, kind)
    assert blockwise.objective == pytest.approx(at_once.objective, rel=1e-9)
    assert blockwise.log_loss == pytest.approx(at_once.log_loss, rel=1e-4)
    np.testing.assert_allclose(blockwise.rates, at_once.rates, atol=1e-4)


@pytest.mark.parametrize("seed", SEEDS)
def test_uniform_model_finds_slope_and_rate(seed):
    true, probs = draw(5000, 5, seed)
    labels, _ = symmetric_noise(true, 0.2, random_state=seed)
    # Probabilities flattened by 2: the slope that undoes it is 2.
    flat = np.sqrt(probs) / np.sqrt(probs).sum(axis=1, keepdims=True)
    model = fit_noise_model(labels, logits_of(flat), "uniform", sharpness=0.0)
    assert model.slope == pytest.approx(2, rel=0.15)
    assert 1 - model.rates[0, 0] == pytest.approx(0.2, abs=0.03)
    np.testing.assert_allclose(model.rates.sum(axis=0), 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_pairs_model_finds_the_noise_matrix(seed):
    true, probs = draw(5000, 3, seed, scale=5.0)
    matrix = np.array([[0.6, 0.0, 0.05], [0.4, 0.95, 0.0], [0.0, 0.05, 0.95]])
    labels, _ = class_conditional_noise(true, matrix, random_state=seed)
    model = fit_noise_model(labels, logits_of(probs), "pairs", sharpness=0.0)
    np.testing.assert_allclose(model.rates, matrix, atol=0.05)


def test_error_probability_is_bayes_rule():
    true, probs = draw(500, 4, 0)
    labels, _ = symmetric_noise(true, 0.2, random_state=0)
    for kind in ("uniform", "pairs"):
        model = fit_noise_model(labels, logits_of(probs), kind)
        clean = probs**model.slope * np.exp(model.bias)
        clean /= clean.sum(axis=1, keepdims=True)
        joint = clean * model.rates[labels]
        right = joint[np.arange(500), labels] / joint.sum(axis=1)
        errors, _ = model.judge(labels, logits_of(probs))
        np.testing.assert_allclose(errors, 1 - right, atol=1e-9)


def test_runner_up_model_spreads_wrong_labels_by_resemblance():
    true, probs = draw(500, 4, 0)
    labels, _ = instance_dependent_noise(true, 0.3, pred_probs=probs, random_state=0)
    model = fit_noise_model(labels, logits_of(probs), "runner_up")
    share, slope = model.resemblance
    clean = softmax(model.slope * np.log(probs) + model.bias, axis=1)
    near = softmax(slope * np.log(probs), axis=1)
    row, given = 7, labels[7]
    second, first = np.sort(clean[row])[-2:]
    # As rare as in a row without doubt where the margin is 1, and never above a half.
    clear = 1 - model.rates[0, 0]
    rate = 0.5 - 0.5 * (1 - 2 * clear) ** np.exp((1 - first + second) / TEMPERATURE)
    assert clear < rate < 0.5
    moved = sum(
        clean[row, k]
        * rate
        * ((1 - share) / 3 + share * near[row, given] / (1 - near[row, k]))
        for k in range(4)
        if k != given
    )
    kept = clean[row, given] * (1 - rate)
    errors, _ = model.judge(labels, logits_of(probs))
    assert errors[row] == pytest.approx(moved / (moved + kept), rel=1e-6)


def test_a_first_step_may_be_long():
    """Its exponential overflowed, and said so in a warning."""
    rng = np.random.default_rng(145)
    n_classes, n_rows = int(rng.integers(3, 6)), int(rng.integers(20, 200))
    probs = rng.dirichlet(np.full(n_classes, 10.0 ** rng.integers(-3, 2)), n_rows)
    labels = rng.integers(0, n_classes, n_rows)
    model = fit_noise_model(labels, logits_of(probs), "runner_up")
    assert np.isfinite(model.objective)


def test_cut_has_the_best_expected_f1_of_all_cuts():
    errors = np.random.default_rng(0).beta(0.3, 1, 300)
    cut = best_expected_f1_cut(errors)

    def expected(at):
        flagged = errors >= at
        return 2 * errors[flagged].sum() / (flagged.sum() + errors.sum())

    assert expected(cut) == max(expected(at) for at in errors)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_model_that_can_tell_nothing_does_not_flag_nearly_all(seed):
    """Flagging every row has the best expected F1 score here."""
    rng = np.random.default_rng(seed)
    rule = learn_auto_rule(rng.integers(2, size=200), rng.dirichlet([10, 10], 200))
    cut = best_expected_f1_cut(rule.error_probability)
    assert (rule.error_probability >= cut).mean() > 0.5
    assert 0 < rule.mask.mean() <= 0.5


def test_equal_rows_are_flagged_together_or_not_at_all():
    assert least_cut_of_share(np.array([0.9, 0.4, 0.4, 0.4]), 0.5) == 0.9
    assert least_cut_of_share(np.array([0.4, 0.4, 0.4, 0.4]), 0.5) == np.inf
    assert least_cut_of_share(np.array([0.1, 0.4, 0.4, 0.1]), 0.5) == 0.4


def test_nothing_is_flagged_where_no_wrong_label_is_expected():
    assert best_expected_f1_cut(np.full(1000, 1e-4)) == np.inf
    assert best_expected_f1_cut(np.empty(0)) == np.inf


@pytest.mark.parametrize("seed", SEEDS)
def test_clean_rows_of_a_doubtful_model_are_left_alone(seed):
    true, probs = draw(4000, 10, seed, scale=2.0)
    rule = learn_auto_rule(true, probs)
    disagree = (probs.argmax(axis=1) != true).mean()
    assert rule.mask.mean() < 0.02 < 0.3 < disagree


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "noise, level",
    [("symmetric", 0.05), ("symmetric", 0.45), ("matrix", 0.05), ("matrix", 0.45)]
    # Doubtful rows explain fewer wrong labels of this kind as well as noise does.
    + [("instance", 0.45)],
)
def test_cut_is_near_the_best_one(noise, level, seed):
    true, probs = draw(3000, 6, seed, scale=5.0)
    if noise == "symmetric":
        labels, wrong = symmetric_noise(true, level, random_state=seed)
    elif noise == "matrix":
        matrix = np.eye(6) * (1 - level) + level * np.roll(np.eye(6), 2, axis=0)
        labels, wrong = class_conditional_noise(true, matrix, random_state=seed)
    else:
        labels, wrong = instance_dependent_noise(
            true, level, pred_probs=probs, random_state=seed
        )
    rule = learn_auto_rule(labels, probs)
    best = best_f1(1 - rule.error_probability, wrong)
    assert f1(rule.mask, wrong) > 0.9 * best
    assert rule.estimated_errors == pytest.approx(wrong.sum(), rel=0.35)


@pytest.mark.parametrize("seed", SEEDS)
def test_beats_the_default_of_cleanlab_on_digits(seed):
    X, y = load_digits(return_X_y=True)
    labels, wrong = symmetric_noise(y, 0.1, random_state=seed)
    model = LogisticRegression(C=0.1, tol=1e-3, max_iter=200)
    probs = cross_val_predict(model, X / 16, labels, cv=3, method="predict_proba")
    found = find_label_issues(
        labels, probs, filter_by="auto", score_by="clean_probability"
    )
    usual = find_label_issues(
        labels, probs, filter_by="prune_by_noise_rate", score_by="self_confidence"
    )
    masks = [table["is_label_issue"].to_numpy() for table in (found, usual)]
    scores = [
        average_precision_score(wrong, -t["label_quality"]) for t in (found, usual)
    ]
    assert f1(masks[0], wrong) > f1(masks[1], wrong)
    assert scores[0] > scores[1]


@pytest.mark.parametrize(
    "model",
    [RandomForestClassifier(30, random_state=0), KNeighborsClassifier(15)],
    ids=["votes", "neighbours"],
)
@pytest.mark.parametrize("level", [0.2, 0.4])
def test_models_that_say_zero_are_no_trouble(model, level):
    X, y = load_digits(return_X_y=True)
    labels, wrong = symmetric_noise(y, level, random_state=0)
    probs = cross_val_predict(model, X, labels, cv=5, method="predict_proba")
    assert np.mean(probs[np.arange(len(y)), labels] == 0) > 0.05
    rule = learn_auto_rule(labels, probs)
    quality = probs[np.arange(len(y)), labels]
    assert f1(rule.mask, wrong) > f1(cleanlab_mask(labels, probs), wrong)
    assert f1(rule.mask, wrong) > 0.97 * best_f1(1 - rule.error_probability, wrong)
    found = average_precision_score(wrong, rule.error_probability)
    assert found > average_precision_score(wrong, -quality)


def test_quality_is_the_probability_of_a_right_label_and_the_mask_its_low_end():
    true, probs = draw(1000, 4, 3)
    labels, _ = symmetric_noise(true, 0.1, random_state=3)
    table = find_label_issues(
        labels, probs, filter_by="auto", score_by="clean_probability"
    )
    quality, mask = table["label_quality"], table["is_label_issue"]
    assert quality[mask].max() < quality[~mask].min()
    assert quality.between(0, 1).all()
    np.testing.assert_allclose(
        quality, 1 - learn_auto_rule(labels, probs).error_probability
    )


def test_permuted_rows_and_classes():
    true, probs = draw(600, 4, 5)
    labels, _ = symmetric_noise(true, 0.15, random_state=5)
    errors = learn_auto_rule(labels, probs).error_probability
    rng = np.random.default_rng(0)
    rows, classes = rng.permutation(600), rng.permutation(4)
    permuted = learn_auto_rule(
        np.argsort(classes)[labels[rows]], probs[rows][:, classes]
    )
    np.testing.assert_allclose(permuted.error_probability, errors[rows], atol=0.01)


@pytest.mark.parametrize(
    "labels, probs",
    [
        ([0, 1], [[1.0, 0.0], [0.0, 1.0]]),
        ([0, 0, 0], [[1.0, 0.0]] * 3),
        ([2, 0, 0, 2], [[0.0, 0.5, 0.5]] * 4),
        (np.zeros(9000, int), np.full((9000, 3), 1 / 3, np.float32)),
        (np.arange(60), np.eye(60)),
    ],
    ids=["two rows", "one class", "missing class", "no information", "many classes"],
)
def test_small_and_odd_problems(labels, probs):
    rule = learn_auto_rule(np.array(labels), np.array(probs))
    assert rule.mask.shape == (len(labels),)
    assert np.isfinite(rule.error_probability).all()
    assert ((rule.error_probability >= 0) & (rule.error_probability <= 1)).all()


def test_more_rows_than_are_fitted_are_judged_in_blocks(monkeypatch):
    monkeypatch.setattr("hubclean._auto_rule._FIT_ROWS", 1000)
    true, probs = draw(2000, 3, 1, scale=5.0)
    labels, wrong = symmetric_noise(true, 0.1, random_state=1)
    rule = learn_auto_rule(labels, probs)
    monkeypatch.setattr("hubclean._auto_rule._BLOCK_BYTES", 8000)
    np.testing.assert_allclose(
        fit_error_model(labels, probs).error_probability(labels, probs),
        rule.error_probability,
    )
    assert f1(rule.mask, wrong) > 0.8


@pytest.mark.parametrize("seed", [0, 1])
def test_rows_are_not_drawn_by_the_seed_that_drew_the_errors(seed):
    true, probs = draw(20_000, 3, 4, scale=5.0)
    labels, wrong = symmetric_noise(true, 0.3, random_state=seed)
    rule = learn_auto_rule(labels, probs)
    drawn, drawn_probs = rule.fitted_to
    agree = (drawn_probs.argmax(axis=1) == drawn).mean()
    assert agree == pytest.approx((probs.argmax(axis=1) == labels).mean(), abs=0.03)
    assert rule.estimated_errors == pytest.approx(wrong.sum(), rel=0.2)


def test_threads_change_nothing():
    true, probs = draw(2000, 3, 1, scale=5.0)
    labels, _ = symmetric_noise(true, 0.1, random_state=1)
    model = fit_error_model(labels, probs)
    many = np.tile(labels, 350), np.tile(probs, (350, 1))  # over two million numbers
    one, two = (model.error_probability(*many, n_jobs=n) for n in (1, 2))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one[:2000], model.error_probability(labels, probs))


@pytest.mark.parametrize("kind", ["uniform", "pairs", "runner_up"])
def test_what_a_noise_model_says_is_bayes_rule(kind):
    true, probs = draw(300, 4, 3, scale=3.0)
    labels, _ = symmetric_noise(true, 0.2, random_state=0)
    model = fit_noise_model(labels, logits_of(probs), kind)
    share, slope = model.resemblance
    for row in range(20):
        logits = np.log(probs[row])
        prior = softmax(model.slope * logits + model.bias)
        near = softmax(slope * logits)
        given = labels[row]
        flow = model.rates[given].copy()
        if kind == "runner_up":
            second, first = np.sort(prior)[-2:]
            growth = np.exp((1 - first + second) / TEMPERATURE)
            wrong = 0.5 - 0.5 * (1 - 2 * (1 - model.rates[0, 0])) ** growth
            follow = np.minimum(near[given] / (1 - near), 1)
            flow = wrong * ((1 - share) / 3 + share * follow)
            flow[given] = 1 - wrong
        joint = prior * flow
        posterior = joint / joint.sum()
        one = slice(row, row + 1)
        error, _ = model.judge(labels[one], logits_of(probs[one]))
        assert error == pytest.approx(1 - posterior[given])
        for k in range(4):
            if k != given:
                _, other = model.judge(
                    labels[one], logits_of(probs[one]), np.array([k])
                )
                assert other == pytest.approx(posterior[k])


def test_given_and_other_classes_add_up_to_one():
    true, probs = draw(500, 4, 5, scale=3.0)
    labels, _ = symmetric_noise(true, 0.2, random_state=0)
    model = fit_error_model(labels, probs)
    total = sum(
        model.class_probability(labels, probs, np.full(500, k)) for k in range(4)
    )
    np.testing.assert_allclose(total, 1)


def test_interval_covers_the_estimates_of_fresh_draws():
    estimates, intervals = [], []
    for seed in range(12):
        true, probs = draw(800, 3, seed, scale=5.0)
        labels, _ = symmetric_noise(true, 0.2, random_state=seed)
        rule = learn_auto_rule(labels, probs)
        estimates.append(rule.estimated_errors)
        intervals.append(rule.errors_interval(n_bootstrap=10))
    low, high = np.array(intervals).T
    middle = np.mean(estimates)
    assert ((low < middle) & (middle < high)).mean() >= 0.6
    # As wide as the estimates are spread, to within a factor of 2.
    width = np.median(high - low) / (2 * 1.645)
    assert 0.5 < width / np.std(estimates) < 2
    rule = learn_auto_rule(labels, probs)
    narrow = rule.errors_interval(level=0.5, n_bootstrap=10)
    assert narrow[1] - narrow[0] < high[-1] - low[-1]


@pytest.mark.filterwarnings("ignore:.*nearly all labels of:UserWarning")
def test_cleaner_with_the_auto_rule():
    X, true = make_blobs(400, centers=4, cluster_std=1.2, random_state=2)
    y, wrong = symmetric_noise(np.array(list("abcd"))[true], 0.1, random_state=0)
    cleaner = HubLabelCleaner(
        filter_by="auto", score_by="clean_probability", random_state=0
    ).fit(X, y)
    issues = cleaner.label_issues_["is_label_issue"].to_numpy()
    assert f1(issues, wrong) > 0.85
    assert cleaner.estimated_errors_ == pytest.approx(40, abs=15)
    precision = (issues & wrong).sum() / issues.sum()
    assert cleaner.estimated_precision_ == pytest.approx(precision, abs=0.15)
    low, high = cleaner.estimated_errors_interval_
    assert low < cleaner.estimated_errors_ < high
    everything = clone(cleaner).set_params(threshold=1.0).fit(X, y)
    assert everything.estimated_precision_ == pytest.approx(0.1, abs=0.05)
    again = pickle.loads(pickle.dumps(cleaner)).check_labels(X, y)
    assert f1(again["is_label_issue"].to_numpy(), wrong) > 0.85
    cleaner.set_params(filter_by="both", score_by="self_confidence").fit(X, y)
    assert not hasattr(cleaner, "estimated_errors_")
    with pytest.raises(AttributeError, match="filter_by='auto'"):
        _ = cleaner.estimated_errors_interval_


def test_auto_is_the_first_of_the_rules():
    assert RULE_NAMES[0] == "auto"
    with pytest.raises(ValueError, match="must be one of.*auto"):
        find_label_issues([0, 1], np.eye(2), filter_by="automatic")
    with pytest.raises(ValueError, match="score_by='clean_probability'; got True"):
        find_label_issues(
            [0, 1], np.eye(2), score_by="clean_probability", adjust_pred_probs=True
        )


def test_n_jobs_reaches_the_error_probabilities(monkeypatch):
    true, probs = draw(300, 4, 0)
    labels, _ = symmetric_noise(true, 0.2, random_state=0)
    asked = []

    def noting(n_jobs, size):
        asked.append(n_jobs)
        return 1

    monkeypatch.setattr("hubclean._auto_rule.n_threads", noting)
    find_label_issues(labels, probs, n_jobs=1)
    assert asked == [1, 1]  # the fit, and the rows


@pytest.mark.parametrize("flips", ["alike", "pairs"])
def test_threads_change_no_number(flips):
    true, probs = draw(4000, 6, 0)
    rng = np.random.default_rng(0)
    wrong = rng.random(4000) < 0.25
    other = (true + 1) % 6 if flips == "pairs" else rng.integers(6, size=4000)
    labels = np.where(wrong, other, true)
    alone, together = (learn_auto_rule(labels, probs, n_jobs=n) for n in (1, 3))
    np.testing.assert_array_equal(alone.error_probability, together.error_probability)
    assert alone.cut == together.cut
    intervals = [alone.errors_interval(n_jobs=n, n_bootstrap=4) for n in (1, 3)]
    assert intervals[0] == intervals[1]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_models_are_fitted_in_as_many_threads_as_asked(n_jobs, monkeypatch):
    true, probs = draw(4000, 6, 0)
    asked = []

    def noting(function, tasks, threads):
        asked.append((threads, len(tasks)))
        return [function(task) for task in tasks]

    monkeypatch.setattr("hubclean._noise_model.in_threads", noting)
    learn_auto_rule(true, probs, n_jobs=n_jobs)
    # Rates all alike, rates of pairs, and resemblance from two starts.
    assert asked[0] == (n_jobs, 4)


def test_an_issue_names_another_class_even_where_the_model_repeats_the_label():
    true, probs = draw(500, 4, 0)
    labels, _ = symmetric_noise(true, 0.2, random_state=0)
    error_model = fit_error_model(labels, probs)
    likeliest, rows = probs.argmax(axis=1), np.arange(500)
    issue = rows < 250
    predicted = predictions(labels, probs, issue, error_model)
    repeated = issue & (likeliest == labels)
    assert repeated.sum() > 100
    assert (predicted != labels)[issue].all()
    np.testing.assert_array_equal(predicted[~repeated], likeliest[~repeated])
    # The second likeliest class, for nearly all of these exact probabilities.
    others = np.where(np.eye(4, dtype=bool)[labels], -1, probs).argmax(axis=1)
    assert (predicted == others)[repeated].mean() > 0.8
    np.testing.assert_array_equal(predictions(labels, probs, issue, None), likeliest)


@pytest.mark.parametrize(
    ("seed", "model"),
    [
        (1003, LogisticRegression(max_iter=300)),
        (1008, LogisticRegression(max_iter=300)),
        # From its likeliest classes two classes end as one.
        (1001, MLPClassifier((64,), max_iter=20, random_state=1001)),
    ],
    ids=["logistic", "logistic, other flips", "network"],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_nearly_half_of_each_class_called_the_next(seed, model):
    """A model that learned them tosses between two classes."""
    X, y = load_digits(return_X_y=True)
    labels, wrong = pair_flip_noise(y, 0.45, random_state=seed)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    probs = cross_val_predict(model, X / 16, labels, cv=folds, method="predict_proba")
    rule = learn_auto_rule(labels, probs)
    assert average_precision_score(wrong, rule.error_probability) > 0.9
    assert f1(rule.mask, wrong) > 0.85
    assert [model.kind for model in rule.error_model.models] == ["pairs"]


@pytest.mark.parametrize("by_instance", [False, True])
def test_profiles_are_regrouped_for_flips_between_pairs_only(by_instance):
    true, probs = draw(3000, 5, 0, scale=1.5)
    if by_instance:
        labels, _ = instance_dependent_noise(
            true, 0.3, pred_probs=probs, random_state=0
        )
    else:
        labels, _ = symmetric_noise(true, 0.3, random_state=0)
    profiles = fit_class_profiles(labels, probs)
    _, moved = regroup_class_profiles(profiles, labels, probs)
    assert moved > 0.1
    kept = fit_error_model(labels, probs).profiles
    np.testing.assert_array_equal(kept.directions, profiles.directions)


@pytest.mark.parametrize(("seed", "level"), [(1014, 0.1), (1015, 0.2)])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_resemblance_is_believed_where_many_rates_of_pairs_say_the_same(seed, level):
    """Errors like those of one early network, which is sure of a few pairs."""
    X, y = load_digits(return_X_y=True)
    network = MLPClassifier((100,), max_iter=15, random_state=seed, early_stopping=True)
    folds = StratifiedKFold(3, shuffle=True, random_state=seed)
    mistakes = cross_val_predict(network, X / 16, y, cv=folds, method="predict_proba")
    labels, wrong = instance_dependent_noise(
        y, level, pred_probs=mistakes, random_state=seed
    )
    rule = learn_auto_rule(labels, ridge_pred_probs(labels, X / 16, 10))
    quality = 1 - rule.error_probability
    assert f1(rule.mask, wrong) > 0.93 * best_f1(quality, wrong)


@pytest.mark.parametrize("seed", [1002, 1004])
def test_where_most_labels_are_wrong_more_are_flagged(seed):
    """Some classes go by another's name then, and its wrong labels look right."""
    X, y = load_digits(return_X_y=True)
    rates = generate_noise_matrix_from_trace(
        10, 3, py=np.bincount(y) / len(y), valid_noise_matrix=True, seed=seed
    )
    labels, wrong = class_conditional_noise(y, rates, random_state=seed)
    model = LogisticRegression(max_iter=300)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    probs = cross_val_predict(model, X / 16, labels, cv=folds, method="predict_proba")
    rule = learn_auto_rule(labels, probs)
    assert wrong.mean() > 0.65
    assert f1(rule.mask, wrong) > 0.95 * best_f1(1 - rule.error_probability, wrong)


def test_a_bias_of_two_classes_does_not_hide_unequal_rates():
    """Most wrong labels of the larger class; all issues were of the other one once."""
    f1 = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        true = np.repeat([0, 1], [130, 220])
        X = rng.normal(size=(350, 8))
        X[:, 0] += 2.5 * true
        labels = true.copy()
        for k, share in enumerate((0.15, 0.45)):
            rows = np.flatnonzero(true == k)
            rows = rng.choice(rows, int(share * len(rows)), replace=False)
            labels[rows] = 1 - k
        probs = cross_val_predict(
            LogisticRegression(), X, labels, cv=5, method="predict_proba"
        )
        f1.append(f1_score(labels != true, learn_auto_rule(labels, probs).mask))
    assert min(f1) > 0.4
    assert np.median(f1) > 0.75
