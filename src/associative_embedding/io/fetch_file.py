"""Downloads a large file to the disk: continued where an earlier attempt ended, with progress, within limits."""

from __future__ import annotations

import sys
import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tqdm import tqdm

from associative_embedding.io.addresses import DownloadError
from associative_embedding.io.download import HEADERS, MAX_OVERHEAD, MAX_REDIRECTS, connection_pool, parse_url, reason

if TYPE_CHECKING:
    import httpcore2

    from associative_embedding.io.bounded_stream import Budget

SILENCE = 60.0  # seconds without a byte after which a download ends: an hour is allowed for the whole of it


def fetch_file(url: str, partial: Path, *, timeout: float, max_bytes: int) -> None:
    """Downloads the file behind an http or https URL, and appends to what an earlier attempt left.

    A redirect never leads from https to http.

    Args:
        url: the address.
        partial: gets the bytes. It keeps them after an error, for the next attempt.
        timeout: seconds for everything.
        max_bytes: a larger file is an error.

    Raises:
        OSError: one line, the reason without the URL.
    """
    from associative_embedding.io.bounded_stream import Backend, Budget

    class PatientBudget(Budget):
        """A budget that also ends when nothing arrives."""

        def seconds(self) -> float:
            return min(super().seconds(), SILENCE)

    budget = PatientBudget(timeout, MAX_OVERHEAD)
    backend = Backend(budget, public_only=False)
    try:
        for _ in range(MAX_REDIRECTS + 1):
            address = parse_url(url)
            with connection_pool(address, backend) as pool:
                target = _get(pool, address, partial, budget, max_bytes)
            if target is None:
                return
            after = urllib.parse.urljoin(url, target)
            if url.startswith("https:") and not after.startswith("https:"):
                raise DownloadError("is redirected to an address without encryption")
            url = after
        raise DownloadError(f"more than {MAX_REDIRECTS} redirects")
    except DownloadError:
        raise
    except TimeoutError:
        over = time.monotonic() >= budget.end
        text = f"not complete within {timeout:g} seconds" if over else f"no byte arrived for {SILENCE:g} seconds"
        raise OSError(text) from None
    except Exception as error:
        raise OSError(reason(error, timeout)) from None


def _get(
    pool: httpcore2.ConnectionPool, url: httpcore2.URL, partial: Path, budget: Budget, max_bytes: int
) -> str | None:
    """Downloads the rest of a file; returns where a redirect leads, None if the file is complete."""
    have = partial.stat().st_size if partial.exists() else 0
    asked = [*HEADERS, ("Range", f"bytes={have}-")] if have else HEADERS
    with pool.stream("GET", url, headers=asked) as response:
        fields = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        if response.status in (301, 302, 303, 307, 308) and "location" in fields:
            return urllib.parse.quote(fields["location"], safe="!#$%&'()*+,/:;=?@[]~-._")
        if response.status == 416:  # nothing is left: the earlier attempt had read the last byte
            return None
        if response.status not in (200, 206):
            raise DownloadError(f"HTTP {response.status}")
        if response.status == 200 or not fields.get("content-range", "").startswith(f"bytes {have}-"):
            have = 0  # the server begins anew
            if response.status == 206:
                raise DownloadError("the server sends another part of the file than was asked for")
        length = int(fields.get("content-length", -1))
        if have + length > max_bytes:
            raise DownloadError(f"is larger than the limit of {max_bytes} bytes")
        with partial.open("ab" if have else "wb") as file:
            _append(response, file, have, length, budget, max_bytes)
    return None


def _append(
    response: httpcore2.Response, file: BinaryIO, have: int, length: int, budget: Budget, max_bytes: int
) -> None:
    """Appends the body of an answer to a file; `length` is what its header announces, in bytes, or -1."""
    import httpcore2

    total = have + length if length >= 0 else None
    bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc="download", disable=None, file=sys.stderr)
    done = have
    with bar:
        try:
            for chunk in response.iter_stream():
                done += len(chunk)
                if done > max_bytes:
                    raise DownloadError(f"is larger than the limit of {max_bytes} bytes")
                file.write(chunk)
                budget.was_file(len(chunk))
                bar.update(len(chunk))
        except httpcore2.RemoteProtocolError:
            if total is not None and done < total:
                raise DownloadError(f"the connection ended {total - done} bytes early") from None
            raise
