"""``python -m geomfaf`` is the command line."""

from .cli.main import main

main(prog_name="geomfaf")
