"""The proxies that people run, on this machine, each as a process with a configuration and a port of its own."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.transports.certificates import authority

_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/local/sbin"])
_START = 30.0


class RealProxy(ABC):
    """A proxy as a process: :meth:`start` and :meth:`stop` may take turns, and the port stays the same.

    ``login`` are the user name and the password that it wants, if any.
    """

    program: str
    scheme = "http"

    def __init__(self, home: Path, login: tuple[str, str] | None) -> None:
        self.home = home
        self.login = login
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        found = shutil.which(self.program, path=_PATH)
        if found is None:
            pytest.skip(f"{self.program} is not installed (tests/real/install.sh installs it, as root on Debian)")
        self._found = found

    def url(self, login: tuple[str, str] | None = None) -> str:
        """Its address, with these credentials."""
        written = f"{':'.join(quote(part, safe='') for part in login)}@" if login else ""
        return f"{self.scheme}://{written}127.0.0.1:{self.port}"

    def start(self) -> None:
        """Let it run; returns when it listens."""
        command = self.configure()
        with (self.home / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [self._found, *command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                env={**os.environ, **self.environment()},
            )  # fmt: skip
        deadline = time.monotonic() + _START
        while not _listens(self.port):
            assert self._process.poll() is None, f"{self.program} has ended: {self._said()}"
            assert time.monotonic() < deadline, f"{self.program} does not listen: {self._said()}"
            time.sleep(0.02)

    def stop(self) -> None:
        """End it, its connections and its helpers, at once: asked politely, squid listens for two seconds more."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def environment(self) -> dict[str, str]:
        """What has to be set for it beside what is set."""
        return {}

    @abstractmethod
    def configure(self) -> list[str]:
        """Write its files; returns its arguments."""

    def write(self, name: str, text: str) -> Path:
        path = self.home / name
        path.write_text(text)
        path.chmod(0o644)
        return path

    def _said(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in self.home.glob("*") if path.is_file())


class Squid(RealProxy):
    """The proxy of most companies; its users are in a file, as MD5 sums."""

    program = "squid"

    def configure(self) -> list[str]:
        config = f"""
            {self._port_line()}
            pid_filename none
            cache deny all
            cache_log {self.home}/cache.log
            access_log none
            coredump_dir {self.home}
            visible_hostname localhost
            shutdown_lifetime 0 seconds
            {self._rules()}
        """
        return ["-N", "-n", self._service, "-f", str(self.write("squid.conf", config))]

    def stop(self) -> None:
        super().stop()
        for memory in Path("/dev/shm").glob(f"{self._service}-*.shm"):
            memory.unlink()

    @property
    def _service(self) -> str:
        """How it names what it shares with its helpers."""
        return f"qqproto{self.port}"

    def _port_line(self) -> str:
        return f"http_port 127.0.0.1:{self.port}"

    def _rules(self) -> str:
        if self.login is None:
            return "http_access allow all"
        name, password = self.login
        users = self.write("users", f"{name}:{hashlib.md5(password.encode()).hexdigest()}\n")
        [helper] = glob.glob("/usr/lib*/squid*/basic_ncsa_auth")
        return f"""
            auth_param basic program {helper} {users}
            acl known proxy_auth REQUIRED
            http_access allow known
            http_access deny all
        """


class SquidWithTLS(Squid):
    """The same, spoken to by TLS, with a certificate of our authority for 127.0.0.1."""

    scheme = "https"

    def _port_line(self) -> str:
        issued = authority().issue_cert("127.0.0.1")
        text = b"".join(blob.bytes() for blob in (issued.private_key_pem, *issued.cert_chain_pems)).decode()
        return f"https_port 127.0.0.1:{self.port} tls-cert={self.write('certificate.pem', text)}"


class TinyProxy(RealProxy):
    """The proxy of small machines and containers."""

    program = "tinyproxy"

    def configure(self) -> list[str]:
        config = f"""
Listen 127.0.0.1
Port {self.port}
Timeout 600
MaxClients 100
Syslog Off
LogFile "{self.home}/log"
LogLevel Connect
{f"BasicAuth {self.login[0]} {self.login[1]}" if self.login else ""}
"""
        return ["-d", "-c", str(self.write("tinyproxy.conf", config))]


class Dante(RealProxy):
    """A SOCKS5 server whose users are those of the machine; nss_wrapper makes them up for it alone."""

    program = "danted"
    scheme = "socks5"

    def __init__(self, home: Path, login: tuple[str, str] | None) -> None:
        super().__init__(home, login)
        self._wrapper = next(iter(glob.glob("/usr/lib/*/libnss_wrapper.so")), None)
        if os.getuid() != 0:
            pytest.skip("danted wants to be root")
        if login is not None and self._wrapper is None:
            pytest.skip("libnss-wrapper is not installed (tests/real/install.sh installs it)")

    def configure(self) -> list[str]:
        config = f"""
            logoutput: {self.home}/log
            internal: 127.0.0.1 port = {self.port}
            external: lo
            clientmethod: none
            socksmethod: {"none" if self.login is None else "username"}
            user.privileged: root
            user.unprivileged: nobody
            client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
            socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
        """
        return ["-f", str(self.write("danted.conf", config)), "-p", f"{self.home}/pid"]

    def environment(self) -> dict[str, str]:
        if self.login is None or self._wrapper is None:
            return {}
        name, password = self.login
        salt = ["openssl", "passwd", "-6", "-salt", "qqproto", password]
        crypted = subprocess.run(salt, capture_output=True, text=True, check=True).stdout.strip()
        nobody = "nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin"
        root = "root:x:0:0::/root:/bin/sh"
        users = self.write("passwd", f"{root}\n{nobody}\n{name}:x:2000:2000::/nonexistent:/usr/sbin/nologin\n")
        shadow = self.write("shadow", f"{name}:{crypted}:19000:0:99999:7:::\n")
        groups = self.write("group", "root:x:0:\nnogroup:x:65534:\nbots:x:2000:\n")
        return {
            "LD_PRELOAD": self._wrapper,
            "NSS_WRAPPER_PASSWD": str(users),
            "NSS_WRAPPER_GROUP": str(groups),
            "NSS_WRAPPER_SHADOW": str(shadow),
        }


@contextlib.contextmanager
def running(kind: type[RealProxy], login: tuple[str, str] | None = None) -> Iterator[Any]:
    """A proxy at work; the test is skipped if there is none of this kind here."""
    # Not below pytest's own directory, which nobody else may read: squid is another user when root starts it.
    with tempfile.TemporaryDirectory(prefix="qqproto-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        home.chmod(0o777)
        proxy = kind(home, login)
        try:
            proxy.start()
            yield proxy
        finally:
            proxy.stop()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        sock.settimeout(1.0)
        return sock.connect_ex(("127.0.0.1", port)) == 0
