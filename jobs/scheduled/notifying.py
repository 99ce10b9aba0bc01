"""Notifies people and watchdogs how a job ended: by Apprise, and by pings.

Where they are reached is a secret: URLs of Apprise hold passwords and tokens, and whoever has the
URL of a ping can fake it. So the jobs file names a variable or a file that holds them, and no
message and no log shows one.
"""

import logging
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from seec.jobs.scheduled.running import Ran
from seec.pipeline.extras import needs
from seec.schemas.errors import StorageError
from seec.schemas.jobs_file import ALWAYS, FAILURE, FINDING, RECOVERY, Job, Notify, Place

PING_TIMEOUT_S = 10.0
MAX_SECRET_BYTES = 64 << 10
START, SUCCESS, FAIL = "start", "success", "fail"
_SHOWN = 10


def secrets_of(place: Place) -> list[str]:
    """The URLs that a variable or a file holds, one a line; lines that begin with # are comments.

    Raises StorageError, which names the variable or the file, if there is none.
    """
    if place.url_env is not None:
        text = os.environ.get(place.url_env, "")
        where = f"the variable {place.url_env}"
    else:
        where = str(place.url_file)
        try:
            with Path(where).open(encoding="utf-8") as file:
                text = file.read(MAX_SECRET_BYTES)
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(f"{where}: cannot be read ({type(error).__name__})") from None
    lines = [line.strip() for line in text.splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise StorageError(f"{where}: holds no URL")
    return found


def occasions(ran: Ran) -> set[str]:
    """What a run is an occasion for."""
    found = {ALWAYS}
    if not ran.well:
        found.add(FAILURE)
    elif ran.before.failing_since is not None:
        found.add(RECOVERY)
    if any(outcome.findings for outcome in ran.outcomes.values()):
        found.add(FINDING)
    return found


def notify(place: Notify, job: Job, ran: Ran) -> bool:
    """Send a message if the run is an occasion for one. Whether it was.

    Raises StorageError, without a secret, if it cannot be sent.
    """
    if not occasions(ran) & set(place.on):
        return False
    with needs("notify", "notifications"):
        import apprise
    urls = secrets_of(place)
    where = place.url_env or place.url_file
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # its messages show URLs
    sender = apprise.Apprise()
    for number, url in enumerate(urls, 1):
        if not sender.add(url):
            raise StorageError(f"{where}: URL {number} is none that Apprise knows")
    kind = apprise.NotifyType.SUCCESS if ran.well else apprise.NotifyType.FAILURE
    lines = "\n".join(message(job, ran))
    attached = job.report if place.attach_report and job.report else None
    if attached is not None and not Path(attached).is_file():
        attached = None
    if not sender.notify(
        body=lines,
        title=subject(ran),
        notify_type=kind,
        body_format=apprise.NotifyFormat.TEXT,
        attach=attached,
    ):
        raise StorageError(f"{where}: the message could not be delivered to all of {len(urls)}")
    return True


def subject(ran: Ran) -> str:
    """One line: the job, and how it ended."""
    found = occasions(ran)
    if FINDING in found:
        return f"seec: job {ran.name} found damage"
    if FAILURE in found:
        return f"seec: job {ran.name} failed"
    return f"seec: job {ran.name} is well{' again' if RECOVERY in found else ''}"


def message(job: Job, ran: Ran) -> Iterator[str]:
    """What a person needs: each part, what it said, the findings and the next command."""
    yield f"Job {ran.name}, {job.archive}"
    yield f"from {ran.started:%Y-%m-%d %H:%M} to {ran.ended:%H:%M} UTC, exit code {ran.exit_code}"
    yield ""
    for part, outcome in ran.outcomes.items():
        how = "well" if outcome.well else f"exit code {outcome.exit_code}: {outcome.error}"
        yield f"{part}: {how}"
        for finding in outcome.findings[:_SHOWN]:
            yield f"  {finding['kind']}: {finding['object']}: {finding['detail']}"
            yield f"  next: {finding['next_command']}"
        if (count := outcome.figures.get("findings", 0)) > _SHOWN:
            yield f"  and {count - _SHOWN} findings more"
        if added := outcome.figures.get("files_added"):
            read, written = (outcome.figures[f"{k}_size_bytes"] for k in ("source", "blob"))
            yield f"  {added:,} files, {read:,} -> {written:,} bytes"
        if failed := outcome.figures.get("quarantined_now"):
            yield f"  {failed:,} files in quarantine: seec ls --quarantine {job.archive}"
    for part, why in ran.held.items():
        yield f"{part}: not run: {why}"
    yield ""
    since = ran.after.failing_since
    last = ran.after.succeeded
    if since is not None:
        yield f"Failing since {since:%Y-%m-%d %H:%M} UTC."
    yield f"Last success: {f'{last:%Y-%m-%d %H:%M} UTC' if last else 'never'}."
    if digest := ran.after.archive.get("digest"):
        yield f"Archive digest: {digest}"


def ping(place: Place, event: str, ran: Ran | None = None) -> None:
    """Ping a watchdog, as Healthchecks has it: the URL itself, `/start`, `/fail`.

    The body of the last two says how the run ended. Raises StorageError, without the URL.
    """
    where = place.url_env or place.url_file
    (url, *_) = secrets_of(place)
    suffix = "" if event == SUCCESS else f"/{event}"
    body = "" if ran is None else f"{subject(ran)}, exit code {ran.exit_code}"
    request = urllib.request.Request(f"{url.rstrip('/')}{suffix}", body.encode())
    try:
        if not url.startswith(("http://", "https://")):
            raise ValueError
        with urllib.request.urlopen(request, timeout=PING_TIMEOUT_S):
            pass
    except urllib.error.HTTPError as error:
        raise StorageError(f"{where}: the ping was answered with {error.code}") from None
    except (OSError, ValueError) as error:
        raise StorageError(f"{where}: the ping failed ({type(error).__name__})") from None
