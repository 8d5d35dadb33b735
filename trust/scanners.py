"""Programs of others that look for holes in a server, with what they call one."""

import json
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from asking import serving
from campaign import Attempt, Figures, Finding, NotHere

MODULES = (
    "backup,brute_login_form,buster,cookieflags,crlf,csp,csrf,exec,file,htaccess,http_headers,ldap,methods,"
    "permanentxss,redirect,shellshock,sql,timesql,upload,xss"
)
"""Those of wapiti that ask nobody but the server."""
EXPECTED = {"Unencrypted Channels"}
"""What wapiti says of a server on this machine, which speaks HTTP as it is meant to."""


@contextmanager
def by_schemathesis(folder: Path) -> Iterator[Attempt]:
    """Let schemathesis try what the server's own description allows, and what it does not."""
    if find_spec("schemathesis") is None:
        raise NotHere("schemathesis is not installed")
    with serving(folder, "--max-body-mb", "1") as server:
        files, described = server.files(), f"http://127.0.0.1:{server.port}/openapi.json"

        def attempt(chance: random.Random) -> Figures:
            command = [sys.executable, "-m", "schemathesis.cli", "run", described, "--max-examples", "40"]
            command += ["--seed", str(chance.getrandbits(31)), "--no-color"]
            done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
            if done.returncode != 0:
                raise Finding(done.stdout[-3000:] + done.stderr[-300:])
            server.settle(files + 2)
            cases = re.search(r"(\d[\d,]*) generated", done.stdout) or [0, "0"]
            return {"cases": int(cases[1].replace(",", ""))}

        yield attempt


@contextmanager
def by_wapiti(folder: Path) -> Iterator[Attempt]:
    """Let wapiti crawl the page, read the description, and try what it knows against both."""
    if shutil.which("wapiti") is None:
        raise NotHere("wapiti is not on the PATH (pip install wapiti3, in an environment of its own)")
    with serving(folder) as server:
        files, root, report = server.files(), f"http://127.0.0.1:{server.port}", folder / "report.json"

        def attempt(_: random.Random) -> Figures:
            command = [
                "wapiti",
                "--url",
                f"{root}/",
                "--swagger",
                f"{root}/openapi.json",
                "--module",
                MODULES,
            ]
            command += ["--flush-session", "--no-bugreport", "--max-scan-time", "900", "--format", "json"]
            command += ["--output", str(report), "--store-session", str(folder / "session")]
            done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
            if done.returncode != 0 or not report.exists():
                raise RuntimeError(done.stdout[-2000:] + done.stderr[-500:])
            said = json.loads(report.read_text("utf-8"))
            found = [
                f"{name}: {one['method']} {one['path']}: {one['info']}"
                for kind in ("vulnerabilities", "anomalies")
                for name, each in said[kind].items()
                for one in each
                if name not in EXPECTED
            ]
            if found:
                raise Finding("; ".join(found)[:3000])
            server.settle(files + 2)
            return {"pages": said["infos"]["crawled_pages_nbr"], "modules": MODULES.count(",") + 1}

        yield attempt
