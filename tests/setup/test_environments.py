"""What setup does on machines that differ: which Python 3.10 it takes, what it says, what it doesn't do twice."""

import functools
import hashlib
import http.server
import io
import os
import shutil
import socket
import subprocess
import threading
import zipfile
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.setup import environments, start
from backend.setup.environments import Problem, Stamp

DiskUsage = namedtuple("DiskUsage", "total used free")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty checkout, no Python 3.10 anywhere, and a uv that can't download one."""
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    monkeypatch.setattr(environments, "TOOLS", tmp_path / ".tools")
    for name in ("BOT_PYTHON", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    program(tmp_path / "bin" / "uv", "echo 'error: no such host github.example' >&2; exit 2")
    return tmp_path


def program(path: Path, script: str) -> Path:
    """Put a shell script where a program would be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def python(path: Path, version: str = "3.10") -> Path:
    """A Python that says it is of this version."""
    return program(path, f"echo {version}")


def shim(path: Path) -> Path:
    """What pyenv puts on PATH for a version that is not switched on."""
    return program(path, "echo 'pyenv: python3.10: command not found' >&2; exit 127")


def find(machine: Path) -> str:
    """Look for the bot's Python."""
    return environments.find_bot_python(str(machine / "bin" / "uv"))


# --- which Python 3.10 --------------------------------------------------------------------------------------------


def test_the_places_are_tried_in_order(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = python(machine / ".tools/python/cpython-3.10.9-linux/bin/python3.10")
    assert find(machine) == str(fetched)
    of_pyenv = python(machine / "pyenv/versions/3.10.13/bin/python")
    assert find(machine) == str(of_pyenv)
    on_path = python(machine / "bin/python3.10")
    assert find(machine) == str(on_path)
    chosen = python(machine / "opt/my python")
    monkeypatch.setenv("BOT_PYTHON", str(chosen))
    assert find(machine) == str(chosen)


def test_a_shim_that_does_not_run_is_passed_over(machine: Path) -> None:
    shim(machine / "bin/python3.10")
    real = python(machine / "pyenv/versions/3.10.13/bin/python")
    assert find(machine) == str(real)


def test_a_python_behind_the_shim_on_path_is_found(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim(machine / "shims/python3.10")
    real = python(machine / "bin/python3.10")
    monkeypatch.setenv("PATH", f"{machine / 'shims'}:{os.environ['PATH']}")
    assert find(machine) == str(real)


def test_a_python_of_another_version_is_not_taken(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOT_PYTHON", str(python(machine / "other", "3.12")))
    real = python(machine / "bin/python3.10")
    assert find(machine) == str(real)


def test_the_newest_of_pyenv_is_taken(machine: Path) -> None:
    python(machine / "pyenv/versions/3.10.9/bin/python")
    newest = python(machine / "pyenv/versions/3.10.13/bin/python")
    assert find(machine) == str(newest)


def test_bot_python_may_be_set_in_the_env_file(machine: Path) -> None:
    chosen = python(machine / "opt/python")
    (machine / ".env").write_text(f'# where Python is\nPORT=8000\nBOT_PYTHON="{chosen}"\n')
    assert find(machine) == str(chosen)


def test_uv_fetches_a_python_into_the_checkout(machine: Path) -> None:
    target = machine / ".tools/python/cpython-3.10.20-linux/bin"
    script = f"mkdir -p {target}; printf '#!/bin/sh\\necho 3.10' > {target}/python3.10; chmod +x {target}/python3.10"
    program(machine / "bin/uv", script)
    assert find(machine) == str(target / "python3.10")


def test_when_none_is_found_one_line_names_every_place_and_what_was_there(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOT_PYTHON", "/nowhere/python")
    shim(machine / "bin/python3.10")
    python(machine / "pyenv/versions/3.10.13/bin/python", "3.9")
    with pytest.raises(Problem) as refused:
        find(machine)
    line = str(refused.value)
    assert "\n" not in line
    assert line.index("机器人需要 Python 3.10") < line.index(" / the bot needs Python 3.10")
    for place in (
        "BOT_PYTHON: /nowhere/python → 没有 not there",
        f"PATH python3.10: {machine}/bin/python3.10 → pyenv: python3.10: command not found",
        f"pyenv: {machine}/pyenv/versions/3.10.13/bin/python → 3.9",
        "no such host github.example",
    ):
        assert place in line


def test_places_where_nothing_is_are_named_too(machine: Path) -> None:
    with pytest.raises(Problem, match=r"BOT_PYTHON: 无 nothing; PATH python3\.10: 无 nothing; pyenv: 无 nothing"):
        find(machine)


# --- one environment ----------------------------------------------------------------------------------------------


@pytest.fixture
def uv_calls(machine: Path) -> Callable[[], list[str]]:
    """A uv that makes and fills environments, and notes what it was asked."""
    log = machine / "uv.log"
    program(
        machine / "bin/uv",
        f"""echo "$@" >> {log}
        case "$1" in
            --version) echo 'uv {environments.UV_VERSION} (here)';;
            cache) echo {machine}/cache;;
            venv) for folder; do :; done; mkdir -p $folder/bin
                printf '#!/bin/sh\\necho 3.10' > $folder/bin/python; chmod +x $folder/bin/python;;
        esac""",
    )

    def calls() -> list[str]:
        asked = [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []
        log.unlink(missing_ok=True)
        return [word for word in asked if word in ("venv", "pip")]

    return calls


def make_bot(machine: Path) -> None:
    """Make the bot's environment, given that a Python was found."""
    environments.make_environment(machine / ".venv/bot", "3.10", lambda uv: "/usr/bin/python3.10", 0.001)


def test_nothing_is_installed_twice(machine: Path, uv_calls: Callable[[], list[str]]) -> None:
    lock = machine / "requirements.bot.lock"
    lock.write_text("rasa==3.6.21\n")
    make_bot(machine)
    assert uv_calls() == ["venv", "pip"]
    make_bot(machine)
    assert uv_calls() == []
    lock.touch()  # its time changes, its content doesn't
    make_bot(machine)
    assert uv_calls() == []
    lock.write_text("rasa==3.6.22\n")
    make_bot(machine)
    assert uv_calls() == ["pip"]


def test_an_environment_whose_python_is_gone_is_made_anew(machine: Path, uv_calls: Callable[[], list[str]]) -> None:
    (machine / "requirements.bot.lock").write_text("rasa==3.6.21\n")
    make_bot(machine)
    (machine / ".venv/bot/bin/python").unlink()
    uv_calls()
    make_bot(machine)
    assert uv_calls() == ["venv", "pip"]


def test_a_failed_installation_is_tried_again(machine: Path, uv_calls: Callable[[], list[str]]) -> None:
    (machine / "requirements.bot.lock").write_text("rasa==3.6.21\n")
    working = (machine / "bin/uv").read_text()
    (machine / "bin/uv").write_text(working.replace("esac", "pip) exit 1;; esac"))
    with pytest.raises(Problem, match=r"requirements\.bot\.lock：没有成功.* / .*failed"):
        make_bot(machine)
    (machine / "bin/uv").write_text(working)
    uv_calls()
    make_bot(machine)
    assert uv_calls() == ["pip"]


def test_a_disk_too_small_is_refused_before_anything_is_installed(
    machine: Path, uv_calls: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine / "requirements.bot.lock").write_text("rasa==3.6.21\n")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: DiskUsage(10e9, 7.5e9, 2.5e9))
    with pytest.raises(Problem) as refused:
        environments.make_environment(machine / ".venv/bot", "3.10", lambda uv: "/usr/bin/python3.10", 4.0)
    assert str(refused.value) == (
        f"磁盘空间不足：{machine} 只剩 2.5 GB，需要 4 GB / disk too small: 2.5 GB left at {machine}, 4 GB needed"
    )
    assert uv_calls() == []


def test_a_command_that_fails_on_a_full_disk_is_said_to_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: DiskUsage(10e9, 10e9, 0))
    with pytest.raises(Problem, match=r"磁盘空间不足.* / disk too small"):
        environments.run("x", ["false"])


# --- stamps -------------------------------------------------------------------------------------------------------


def test_a_stamp_holds_until_a_content_or_a_name_changes(tmp_path: Path) -> None:
    folder = tmp_path / "dialogue"
    folder.mkdir()
    (folder / "a.yml").write_text("nlu: a")
    (folder / "__pycache__").mkdir()

    def stamp() -> Stamp:
        return Stamp(tmp_path / "made" / "from", folder, "3.10")

    assert not stamp().is_fresh()
    stamp().keep()
    assert stamp().is_fresh()
    (folder / "__pycache__" / "x.pyc").write_bytes(b"made by running")
    assert stamp().is_fresh()
    (folder / "a.yml").rename(folder / "b.yml")
    assert not stamp().is_fresh()
    stamp().keep()
    (folder / "c.yml").write_text("")
    assert not stamp().is_fresh()
    assert not Stamp(tmp_path / "made" / "from", folder, "3.11").is_fresh()


# --- uv from a package index, without pip -------------------------------------------------------------------------


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[str, Callable[[bytes, str], None]]]:
    """A mirror of the package index, and how to put a wheel of uv there under a checksum."""
    root = tmp_path / "mirror"
    (root / "simple" / "uv").mkdir(parents=True)
    handler = functools.partial(QuietHandler, directory=str(root))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def publish(wheel: bytes, sha256: str) -> None:
        system = "macosx_11_0" if os.uname().sysname == "Darwin" else "manylinux_2_17"
        name = f"uv-{environments.UV_VERSION}-py3-none-{system}_{os.uname().machine}.whl"
        (root / name).write_bytes(wheel)
        other = f'<a href="../../uv-{environments.UV_VERSION}-py3-none-win32.whl#sha256={"0" * 64}">w</a>\n'
        page = f'{other}<a href="../../{name}#sha256={sha256}" data-requires-python="&gt;=3.8">{name}</a>'
        (root / "simple" / "uv" / "index.html").write_text(page)

    yield f"http://127.0.0.1:{server.server_address[1]}/simple", publish
    server.shutdown()
    server.server_close()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and keeps quiet about it."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def wheel_of_uv() -> bytes:
    """A wheel with a uv in it that says its version."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        script = f"#!/bin/sh\necho 'uv {environments.UV_VERSION} (wheel)'\n"
        archive.writestr(f"uv-{environments.UV_VERSION}.data/scripts/uv", script)
    return buffer.getvalue()


@pytest.mark.parametrize("setting", ["PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"])
def test_uv_comes_from_the_citys_mirror_where_there_is_no_pip(
    machine: Path, index: Any, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    url, publish = index
    publish(wheel_of_uv(), hashlib.sha256(wheel_of_uv()).hexdigest())
    monkeypatch.setenv(setting, url)
    monkeypatch.setattr(environments, "_pip_installs_uv", lambda: False)
    uv = environments.find_uv()
    assert uv == str(machine / ".tools/uv/bin/uv")
    assert subprocess.run([uv, "--version"], capture_output=True, text=True).stdout.startswith("uv ")


def test_a_wheel_with_another_checksum_is_not_run(machine: Path, index: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url, publish = index
    publish(wheel_of_uv(), "f" * 64)
    monkeypatch.setenv("PIP_INDEX_URL", url)
    with pytest.raises(Problem, match=r"uv 的校验和不对.* / checksum of uv is wrong"):
        environments.download_uv(machine / ".tools/uv/bin/uv")
    assert not (machine / ".tools/uv/bin/uv").exists()


def test_an_index_out_of_reach_is_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{free_port()}/simple")
    with pytest.raises(Problem, match=r"无法下载 http://127\.0\.0\.1.*PIP_INDEX_URL / can't fetch"):
        environments.download_uv(machine / ".tools/uv/bin/uv")


# --- ports --------------------------------------------------------------------------------------------------------


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_taken_ports_are_named_with_their_settings() -> None:
    with socket.create_server(("127.0.0.1", 0)) as web, socket.create_server(("127.0.0.1", 0)) as bot:
        first, second = web.getsockname()[1], bot.getsockname()[1]
        with pytest.raises(Problem) as refused:
            start.check_ports(
                {
                    "web": ("PORT", first),
                    "bot": ("BOT_PORT", second),
                    "actions": ("ACTIONS_PORT", free_port()),
                }
            )
    line = str(refused.value)
    assert line.startswith(f"端口已被占用：PORT={first}, BOT_PORT={second}；")
    assert f" / port taken: PORT={first}, BOT_PORT={second}; " in line
    assert "ACTIONS_PORT" not in line and "\n" not in line


def test_a_port_taken_on_all_interfaces_is_taken() -> None:
    with socket.create_server(("0.0.0.0", 0)) as other, pytest.raises(Problem, match="PORT="):
        start.check_ports({"web": ("PORT", other.getsockname()[1])})


def test_free_ports_are_fine_but_not_the_same_one_twice() -> None:
    port = free_port()
    start.check_ports({"web": ("PORT", port)})
    with pytest.raises(Problem, match=f"端口重复：PORT={port}, BOT_PORT={port} / ports must differ"):
        start.check_ports({"web": ("PORT", port), "bot": ("BOT_PORT", port)})


@pytest.mark.parametrize("port", [0, 65536, -1])
def test_a_port_that_is_none_is_refused_plainly(port: int) -> None:
    with pytest.raises(Problem, match=f"端口不能用：PORT={port}，.* / port can't be used"):
        start.check_ports({"web": ("PORT", port)})


def test_a_problem_is_one_line_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise Problem("坏了\n真的", "broken")

    with pytest.raises(SystemExit) as ended:
        environments.plainly(fail)
    assert ended.value.code == 1
    assert capsys.readouterr().err == "坏了 真的 / broken\n"
