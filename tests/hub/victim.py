"""What the killed processes of test_kills run."""

import os
import signal

import pandas as pd

from hubclean import hub
from hubclean.hub import _deeplake4
from tests.hub.conftest import result_table

DECISIONS = {
    "row": [7, 2, 3],
    "decision": ["prune", "relabel", "keep"],
    "new_label": ["", "cat", ""],
}

STEPS = (
    "create_branch",
    "add_column",
    "set_metadata",
    "set_rows",
    "delete_rows",
    "commit",
)


def tensors_on_main(path):
    hub.create_tensors(path, result_table())


def tensors_overwritten(path):
    hub.create_tensors(path, result_table(), overwrite=True)


def tensors_on_branch(path):
    hub.create_tensors(path, result_table(), branch="work")


def decisions(path):
    hub.apply_decisions(path, pd.DataFrame(DECISIONS), "work")


ACTIONS = {
    "tensors_on_main": tensors_on_main,
    "tensors_overwritten": tensors_overwritten,
    "tensors_on_branch": tensors_on_branch,
    "decisions": decisions,
}


def die_at(step):
    """Kill this process before or after its step-th edit; gives the count so far."""
    count = [0]

    def tick():
        if count[0] == step:
            os.kill(os.getpid(), signal.SIGKILL)
        count[0] += 1

    def wrapped(method):
        def call(*args, **kwargs):
            tick()
            result = method(*args, **kwargs)
            tick()
            return result

        return call

    for name in STEPS:
        method = getattr(_deeplake4.DeepLake4Store, name)
        setattr(_deeplake4.DeepLake4Store, name, wrapped(method))
    return count


def run(action, path, step, pipe):
    """Say when it starts and when it is done, and how many steps it took."""
    count = die_at(step)
    pipe.send("ready")
    pipe.recv()
    ACTIONS[action](path)
    pipe.send(count[0])
