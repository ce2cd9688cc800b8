"""Nothing in the package calls what Windows or macOS lacks, and no text file depends on the language of a system."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.paths import ROOT

FILES = sorted((ROOT / "src" / "associative_embedding").rglob("*.py"))

# What Python's documentation marks as "Availability: Unix", or as not available on macOS or Windows.
MISSING = {
    "os": set(
        "chown chroot fchdir fchmod fchown fdatasync fork forkpty get_blocking getegid geteuid getgid getgroups "
        "getloadavg getpgid getpgrp getpriority getresuid getsid getuid initgroups killpg lchown lockf mkfifo mknod "
        "nice openpty pathconf pidfd_open pipe2 posix_fadvise posix_fallocate posix_spawn pread preadv pwrite pwritev "
        "readv register_at_fork sched_getaffinity sched_setaffinity sendfile set_blocking setegid seteuid setgid "
        "setgroups setpgid setpgrp setpriority setregid setsid setuid statvfs sync sysconf tcgetpgrp tcsetpgrp ttyname "
        "uname wait wait3 wait4 waitid writev O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK O_SYNC O_TMPFILE".split()
    ),
    "signal": set(
        "SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 alarm "
        "getitimer pause pthread_kill pthread_sigmask setitimer siginterrupt sigpending sigtimedwait sigwait".split()
    ),
    "socket": {"AF_UNIX", "SO_REUSEPORT", "socketpair", "fromfd"},
    "time": {"tzset", "clock_gettime", "CLOCK_MONOTONIC"},
}
MODULES = {"fcntl", "grp", "pwd", "pty", "resource", "spwd", "syslog", "termios", "tty"}


def guarded(tree: ast.AST) -> set[ast.AST]:
    """The nodes inside of an ``if`` that asks for the system, or whether it has a name."""
    tests = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    asking = [
        node for node in tests if "sys.platform" in ast.unparse(node.test) or "hasattr(" in ast.unparse(node.test)
    ]
    return {inner for node in asking for inner in ast.walk(node)}


def unix_only(source: str) -> Iterator[str]:
    """Yields what a source text uses that another system lacks."""
    tree = ast.parse(source)
    safe = guarded(tree)
    for node in sorted(ast.walk(tree), key=lambda node: getattr(node, "lineno", 0)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name, used = f"{node.value.id}.{node.attr}", node.attr in MISSING.get(node.value.id, ())
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found = {alias.name for alias in node.names} if isinstance(node, ast.Import) else {node.module}
            name, used = ", ".join(map(str, found)), bool(found & MODULES)
        else:
            continue
        if used and node not in safe:
            yield f"line {node.lineno}: {name}"


def without_encoding(source: str) -> Iterator[str]:
    """Yields the calls that read or write text in the encoding of the system."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or any(keyword.arg == "encoding" for keyword in node.keywords):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        is_method = isinstance(node.func, ast.Attribute)
        if name in ("read_text", "write_text") and is_method and not node.args:
            yield f"line {node.lineno}: {name}"
        mode = node.args[1] if len(node.args) > 1 else next((k.value for k in node.keywords if k.arg == "mode"), None)
        binary = isinstance(mode, ast.Constant) and "b" in str(mode.value)
        if name == "open" and not is_method and not binary:
            yield f"line {node.lineno}: open"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT / "src").as_posix())
def test_every_system_has_what_is_called(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert list(unix_only(source)) == []
    assert list(without_encoding(source)) == []


def test_the_test_itself() -> None:
    source = "import os\nif hasattr(os, 'fork'):\n    os.fork()\nos.setpgrp()\nimport fcntl\nsignal.SIGKILL\n"
    assert list(unix_only(source)) == ["line 4: os.setpgrp", "line 5: fcntl", "line 6: signal.SIGKILL"]
    assert list(without_encoding("open(a)\nopen(a, 'rb')\np.read_text()\nopen(a, encoding='utf-8')")) == [
        "line 1: open",
        "line 3: read_text",
    ]
