"""``python -m hubclean`` is the command ``hubclean``."""

from hubclean.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
