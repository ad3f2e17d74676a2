"""The errors hubclean raises.

::

    HubcleanError
    ├── ValidationError          (ValueError)   what was passed cannot be used
    │   ├── LabelsError                         the given labels
    │   ├── PredProbsError                      the predicted probabilities
    │   ├── ParameterError                      a parameter's value
    │   ├── RowsError            (+ TypeError)  the rows of X
    │   └── EstimatorError       (+ TypeError)  the estimator inside
    ├── TrainingError            (RuntimeError) training went wrong: a NaN loss, say
    ├── DatasetError             (ValueError)   a dataset cannot be read or written
    │   ├── BadRowsError                        rows that cannot be decoded
    │   └── DatasetChangedError                 it is not the version that was judged
    └── MissingPackageError      (ImportError)  an optional package is not installed

Every class also derives from the built-in that scikit-learn's users expect, so
``except ValueError`` goes on working. A message says who, what was expected, what
came, and what to do.

It imports nothing from hubclean.
"""

__all__ = [
    "BadRowsError",
    "DatasetChangedError",
    "DatasetError",
    "EstimatorError",
    "HubcleanError",
    "LabelsError",
    "MissingPackageError",
    "ParameterError",
    "PredProbsError",
    "RowsError",
    "TrainingError",
    "ValidationError",
    "LabelQualityWarning",
]


class HubcleanError(Exception):
    """Base of every error that hubclean raises on purpose."""


class ValidationError(HubcleanError, ValueError):
    """What was passed cannot be used."""


class LabelsError(ValidationError):
    """The given labels cannot be used."""


class PredProbsError(ValidationError):
    """The predicted probabilities cannot be used."""


class ParameterError(ValidationError):
    """A parameter has a value it cannot have."""


class RowsError(ValidationError, TypeError):
    """The rows of X cannot be used as asked."""


class EstimatorError(ValidationError, TypeError):
    """The estimator inside cannot give out-of-sample probabilities."""


class TrainingError(HubcleanError, RuntimeError):
    """Training went wrong, for example its loss became NaN."""


class DatasetError(HubcleanError, ValueError):
    """A dataset cannot be read or written as asked; it is unchanged."""


class BadRowsError(DatasetError):
    """Rows of a dataset cannot be decoded.

    Attributes
    ----------
    rows : list of int
        Their positions in the dataset.
    """

    def __init__(self, message, rows=()):
        super().__init__(message)
        self.rows = list(rows)

    def __reduce__(self):
        return type(self), (self.args[0], self.rows)


class DatasetChangedError(DatasetError):
    """The dataset is not the version that was judged."""


class MissingPackageError(HubcleanError, ImportError):
    """An optional package is not installed."""


class LabelQualityWarning(UserWarning):
    """The result may mislead; the message gives the number."""
