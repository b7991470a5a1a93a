"""The command line: one thin command a stage; errors become one line and an exit code."""

from __future__ import annotations

import functools
import signal
from typing import Any

import click

from ..errors import GeomfafError
from ..progress import event, hide_warnings, show_progress
from .deliver_commands import DELIVER_COMMANDS
from .evidence_commands import EVIDENCE_COMMANDS
from .explain_commands import EXPLAIN_COMMANDS
from .inputs import refuse_inputs_as_outputs
from .model_commands import MODEL_COMMANDS
from .project_command import PROJECT_COMMANDS
from .report_commands import REPORT_COMMANDS
from .run_commands import RUN_COMMANDS
from .survey_commands import SURVEY_COMMANDS

INTERRUPTED = 130


class _Group(click.Group):
    """Turns the errors of geomfaf into one line and an exit code; commands stay in
    data-flow order.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command that refuses to replace its own inputs."""
        cmd.callback = _guarded(cmd.callback)
        super().add_command(cmd, name)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GeomfafError as error:
            _fail(ctx, str(error), error.exit_code)
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else "geomfaf"
            said = error.format_message().rstrip(".")
            _fail(ctx, f"{said}. See `{path} --help`.", error.exit_code)
        except KeyboardInterrupt:
            said = "interrupted; nothing half-written is left, `run` goes on where it stopped"
            _fail(ctx, said, INTERRUPTED)
        except BrokenPipeError:
            raise
        except OSError as error:
            place = f" ({error.filename})" if error.filename else ""
            _fail(ctx, f"{error.strerror or error}{place}", 1)
        except MemoryError:
            _fail(ctx, "out of memory: use larger cells (cell =) or a smaller study area", 1)


def _guarded(callback: Any) -> Any:
    @functools.wraps(callback)
    def call(*args: Any, **options: Any) -> Any:
        refuse_inputs_as_outputs(click.get_current_context())
        return callback(*args, **options)

    return call


def _fail(ctx: click.Context, message: str, code: int) -> None:
    """Report an error in one line, whatever style of progress was chosen, and end."""
    event("error", f"geomfaf: {message}", text=message, exit_code=code)
    ctx.exit(code)


def _print_versions(ctx: click.Context, _option: click.Parameter, asked: bool) -> None:
    """Print a line for geomfaf and one for each library that its numbers depend on."""
    if not asked or ctx.resilient_parsing:
        return
    from ..files import library_versions

    versions = library_versions()
    click.echo(f"geomfaf {versions['geomfaf']}")
    for name, version in versions.items():
        if name != "geomfaf":
            click.echo(f"{name} {version}")
    ctx.exit()


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong use, 3 data refused, 130 interrupted.",
)
@click.option(
    "-V",
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_versions,
    help="Show the version, and those of what the numbers depend on, and exit.",
)
@click.option(
    "--progress",
    type=click.Choice(["auto", "bar", "plain", "json", "none"]),
    default="auto",
    help="How stderr reports; auto: a bar on a terminal, plain lines elsewhere; json: one object a"
    " line [default: auto].",
)
@click.option("-q", "--quiet", is_flag=True, help="Report errors alone.")
@click.option("-v", "--verbose", is_flag=True, help="Report warnings of the libraries too.")
def main(progress: str, quiet: bool, verbose: bool) -> None:
    """From stream sediments, geology, faults and known deposits to an honest map of exploration targets.

    \b
    Start here:   geomfaf demo                       a made-up survey, run from end to end
    Your survey:  geomfaf init survey.gpkg           writes geomfaf.toml
                  geomfaf run geomfaf.toml           does everything
    The other commands are the stages of a run, each usable alone.
    """  # noqa: D301  (click wants the backspace itself)
    if hasattr(signal, "SIGBREAK"):
        # On Windows a program, such as QGIS, can interrupt another one by this signal alone.
        signal.signal(signal.SIGBREAK, signal.default_int_handler)
    show_progress("none" if quiet else progress)
    if not verbose:
        hide_warnings()


for _command in (
    *RUN_COMMANDS,
    *SURVEY_COMMANDS,
    *EVIDENCE_COMMANDS,
    *MODEL_COMMANDS,
    *DELIVER_COMMANDS,
    *REPORT_COMMANDS,
    *EXPLAIN_COMMANDS,
    *PROJECT_COMMANDS,
):
    main.add_command(_command)
