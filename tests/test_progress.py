import contextvars

from hubclean._progress import advance, epoch_done, progress


def test_epochs_move_the_open_bar(capsys):
    with progress(4, "folds") as bar:
        epoch_done()
        advance(2)
        assert bar.n == 3
    epoch_done()
    assert bar.n == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "folds" in err


def test_a_bar_that_is_not_enabled_shows_nothing(capsys):
    with progress(4, "folds", enabled=False) as bar:
        epoch_done()
    assert bar is None
    assert capsys.readouterr() == ("", "")


def test_the_innermost_bar_moves_and_the_outer_one_comes_back():
    with progress(2) as outer:
        with progress(2) as inner:
            epoch_done()
        epoch_done()
    assert (outer.n, inner.n) == (1, 1)


def test_another_context_has_no_bar():
    with progress(2) as bar:
        contextvars.Context().run(epoch_done)
        assert bar.n == 0
