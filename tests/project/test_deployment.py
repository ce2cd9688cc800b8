"""The files of docs/deploy are what the programs accept that they are for, and agree with the service."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from associative_embedding.apps.cli.main import parse
from support.paths import ROOT

FOLDER = ROOT / "docs" / "deploy"


def text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def unit() -> dict[str, list[str]]:
    """Setting of the systemd unit -> its values."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", text("ae.service"), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def commands() -> list[list[str]]:
    """The options of ``ae serve`` in the unit and in the container file."""
    container = text("Containerfile")
    parts = [re.search(rf"^{name} \[(.*)\]$", container, re.MULTILINE) for name in ("ENTRYPOINT", "CMD")]
    words = [word for part in parts for word in shlex.split(part[1].replace(",", " "))]  # type: ignore[index]
    return [shlex.split(unit()["ExecStart"][0])[1:], words[1:]]


@pytest.mark.parametrize("words", commands())
def test_the_commands_are_options_of_ae_serve(words: list[str]) -> None:
    options = parse(words)
    assert options.command == "serve"
    assert options.serve.port == 8000


def test_systemd_reads_the_unit(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze")
    copy = tmp_path / "ae.service"
    copy.write_text(text("ae.service").replace("/opt/ae/bin/ae", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_gives_no_rights() -> None:
    settings = unit()
    assert settings["DynamicUser"] == ["yes"]
    assert settings["ProtectSystem"] == ["strict"]
    assert settings["CapabilityBoundingSet"] == [""]
    assert "MemoryMax" in settings
    assert settings["IPAddressDeny"] == ["any"]
    # the only folder that can be written is the one of the cache
    assert settings["Environment"] == [f"AE_CACHE=/var/cache/{settings['CacheDirectory'][0]}"]


def test_the_container_has_no_root() -> None:
    lines = text("Containerfile").splitlines()
    assert lines.index("USER 10001") < next(n for n, line in enumerate(lines) if line.startswith("ENTRYPOINT"))
    sources = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert all((ROOT / source).exists() for source in sources)


def test_nginx_reads_its_file(tmp_path: Path) -> None:
    if not (shutil.which("nginx") and shutil.which("openssl")):
        pytest.skip("needs nginx and openssl")
    files = ["-keyout", tmp_path / "privkey.pem", "-out", tmp_path / "fullchain.pem"]
    new = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=pose.example.org".split()
    subprocess.run([*new, *files], check=True, capture_output=True)
    (tmp_path / "ae.conf").write_text(text("nginx.conf").replace("/etc/ssl/ae", str(tmp_path)))
    temporary = " ".join(
        f"{name}_temp_path {tmp_path}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    frame = f"pid {tmp_path}/pid; events {{}} http {{ access_log off; {temporary} include {tmp_path}/ae.conf; }}"
    (tmp_path / "nginx.conf").write_text(frame)
    command = ["nginx", "-t", "-q", "-e", tmp_path / "log", "-c", tmp_path / "nginx.conf"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nginx_waits_longer_and_takes_more_than_the_service() -> None:
    options = parse(["serve"]).serve
    settings = dict(re.findall(r"^\s+(\w+) (.*);$", text("nginx.conf"), re.MULTILINE))
    assert int(settings["proxy_read_timeout"].removesuffix("s")) > options.timeout
    assert int(settings["client_max_body_size"].removesuffix("m")) * 2**20 > options.max_bytes
    assert re.search(r"proxy_set_header Host \$http_host;", text("nginx.conf"))
    assert f"server_name {shlex.split(unit()['ExecStart'][0])[-1]};" in text("nginx.conf")
