"""Find wrong labels in classification datasets, and help people fix them.

Public names only. Importing hubclean imports no optional package: the names of the
PyTorch, Keras and Hub workflows are loaded when they are first used.
"""

__version__ = "0.1.0.dev0"

__all__ = ["__version__"]
