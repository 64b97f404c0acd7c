"""Posts a report as the only comment of a pull or merge request, or edits the existing comment.

`python3 ci/post_report.py github|gitlab FILE`, in a CI job. It needs only Python's own library.

GitHub: GITHUB_API_URL, GITHUB_REPOSITORY, NUMBER and the job's token in GH_TOKEN.
GitLab: CI_API_V4_URL, CI_PROJECT_ID, CI_MERGE_REQUEST_IID and a project's token in REPORT_TOKEN.

Anybody can write a comment that looks like ours, so only comments of our own user are edited.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MARKER = "<!-- tlsgate partners diff -->"
GITHUB_AUTHOR = "github-actions[bot]"
PAGE = 100
SECONDS = 30


@dataclass(frozen=True, slots=True)
class Forge:
    """Where the comments are. `mine`: the user name of our own comments."""

    comments: str
    one_comment: str
    edit: str
    headers: Mapping[str, str]
    author: str
    mine: str


def github(env: Mapping[str, str]) -> Forge:
    """The pull request of a GitHub job."""
    issues = f"{env['GITHUB_API_URL']}/repos/{env['GITHUB_REPOSITORY']}/issues"
    return Forge(
        comments=f"{issues}/{int(env['NUMBER'])}/comments",
        one_comment=f"{issues}/comments",
        edit="PATCH",
        headers={"Authorization": f"Bearer {env['GH_TOKEN']}"},
        author="user",
        mine=GITHUB_AUTHOR,
    )


def gitlab(env: Mapping[str, str]) -> Forge:
    """The merge request of a GitLab job."""
    api, headers = env["CI_API_V4_URL"], {"PRIVATE-TOKEN": env["REPORT_TOKEN"]}
    request = f"merge_requests/{int(env['CI_MERGE_REQUEST_IID'])}"
    notes = f"{api}/projects/{int(env['CI_PROJECT_ID'])}/{request}/notes"
    mine = _call("GET", f"{api}/user", headers)["username"]
    return Forge(notes, notes, "PUT", headers, "author", mine)


def post(forge: Forge, report: str) -> str:
    """Post or edit the comment; return `posted` or `edited`."""
    body = {"body": f"{MARKER}\n{report}"}
    for comment in _all_comments(forge):
        author = comment.get(forge.author) or {}
        name = author.get("login") or author.get("username")
        if name == forge.mine and str(comment.get("body", "")).startswith(MARKER):
            _call(forge.edit, f"{forge.one_comment}/{comment['id']}", forge.headers, body)
            return "edited"
    _call("POST", forge.comments, forge.headers, body)
    return "posted"


def _all_comments(forge: Forge) -> Iterator[dict[str, Any]]:
    page, found = 0, PAGE
    while found == PAGE:
        page += 1
        comments = _call("GET", f"{forge.comments}?per_page={PAGE}&page={page}", forge.headers)
        found = len(comments)
        yield from comments


def _call(method: str, url: str, headers: Mapping[str, str], body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    more = {"Content-Type": "application/json", "Accept": "application/json"}
    request = urllib.request.Request(url, data, {**headers, **more}, method=method)  # noqa: S310
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
        return json.loads(answer.read() or b"null")


def main(arguments: list[str]) -> int:
    """Run the command, and return the exit status."""
    try:
        kind, file = arguments
        forge = {"github": github, "gitlab": gitlab}[kind](os.environ)
        print(f"report {post(forge, Path(file).read_text('utf-8'))}")
    except (ValueError, KeyError) as error:
        print(f"post_report: wrong usage or environment: {error!r}. {__doc__}", file=sys.stderr)
        return 2
    except (OSError, urllib.error.URLError) as error:
        print(f"post_report: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
