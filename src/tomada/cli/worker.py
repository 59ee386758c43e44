"""``python -m tomada.cli.worker``: what a supervisor starts. It is no command: it needs a supervisor's channel."""

from __future__ import annotations

import sys

import msgspec

from tomada.cli.job import Job, be_quiet_at_a_terminal, log_to_standard_error
from tomada.cli.listening import about
from tomada.cli.loading import load_app, print_own, summary
from tomada.cli.output import ExitCode, exit_code
from tomada.errors import TomadaError
from tomada.server.workers.member import Member, SupervisorGone


def main() -> int:
    """Serve as a worker; the exit status."""
    try:
        member = Member()
    except SupervisorGone as error:
        sys.stderr.write(f"error: {error}\n")
        return ExitCode.UNREACHED
    log_to_standard_error(of_several=True)
    job = msgspec.msgpack.decode(member.settings, type=Job)
    try:
        _serve(member, job)
    except SupervisorGone:
        return ExitCode.UNREACHED
    except TomadaError as error:
        member.fail(str(error), exit_code(error))
        return exit_code(error)
    except SystemExit as error:
        member.fail(f"{job.target} ends its own process: exit status {error.code}", ExitCode.UNREACHED)
        raise
    except Exception as error:  # noqa: BLE001 - whatever the application raises: its author sees where
        print_own(error)
        what = "raised when it was to end" if member.has_served else "could not be started"
        member.fail(f"{job.target} {what}: {summary(error)}", ExitCode.UNREACHED)
        return ExitCode.UNREACHED
    return ExitCode.FINE


def _serve(member: Member, job: Job) -> None:
    app = load_app(job.target)
    be_quiet_at_a_terminal()
    serving = job.serving(app, member.number)
    member.inherit(serving)
    member.serve(serving, msgspec.msgpack.encode(about(app)))


if __name__ == "__main__":
    sys.exit(main())
