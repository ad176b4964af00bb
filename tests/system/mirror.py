# SPDX-License-Identifier: GPL-2.0-or-later
"""
A mirror of Debian for an installer in a guest, on the host's loopback: it fetches what it is asked
for from where the host's apt gets its packages, by apt's own means, and keeps it.

Not every mirror has all of the installer's own packages ("udebs"). The index that the installer is
shown, as a suite of this mirror's own, names what there is: each udeb as the release has it, or else
the next release's if it can run here, or else one that is made of the release's packages.
"""

import functools
import hashlib
import http.server
import lzma
import os
import re
import shutil
import subprocess
import threading

import vm

CACHE = os.path.join(vm.GUESTS, "mirror")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
HELPER = "/usr/lib/apt/apt-helper"
NEXT = {"bookworm": "trixie", "trixie": "forky"}
SUITE = "installer"  # of the udebs
INDEX = "main/debian-installer/binary-amd64/Packages"
ROLES = ("required", "important", "standard")

# udebs that can be made: {udeb: ((package, the files of it that are wanted), ...)}
MADE = {
    "dosfstools-udeb": (("dosfstools", r"sbin/(mk|fsck)\S*fat$"),),
    "e2fsprogs-udeb": (("e2fsprogs", r"sbin/(mke2fs|mkfs\.ext.|e2fsck|fsck\.ext.|tune2fs)$|"
                                     r"etc/mke2fs\.conf$"),
                       ("libext2fs2", r"\.so\.2"), ("libcom-err2", r"\.so\.2")),
    "libbsd0-udeb": (("libbsd0", r"\.so\.0"), ("libmd0", r"\.so\.0")),
    "libdevmapper1.02.1-udeb": (("libdevmapper1.02.1", r"\.so\.1"),),
    "libparted-fs-resize0-udeb": (("libparted-fs-resize0", r"\.so\.0"),),
    "libparted2-udeb": (("libparted2", r"\.so\.2"),),
    "parted-udeb": (("parted", r"sbin/parted$"),),
}
# Without these a disk with one ext4 file system is made all the same.
DISPENSABLE = {"grub-mount-udeb", "ntfs-3g-udeb", "dmidecode-udeb"}


class MirrorError(Exception):
    """There is no mirror, or not enough on it; the text says why."""


def _say_why(function):
    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except subprocess.CalledProcessError as error:
            raise MirrorError(f"{error.cmd[0]}: {error.stdout.strip()[-300:]}") from error
    return wrapped


@_say_why
def _run(*words, cwd=None):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, cwd=cwd).stdout


def host_mirror(codename):
    """The address that the host's apt has for Debian's packages of this release."""
    lines = _run("apt-get", "indextargets", "--format", "$(ORIGIN) $(RELEASE) $(COMPONENT) $(REPO_URI)",
                 "Created-By: Packages")
    for line in lines.splitlines():
        if line.startswith(f"Debian {codename} main "):
            return line.split()[-1].rstrip("/")
    raise MirrorError(f"the host's apt has no sources for {codename}")


def fetch(uri, path, sha256=None):
    """Downloads by apt's means. Raises MirrorError if it is not there or another file."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.{os.getpid()}.{threading.get_ident()}"
    try:
        _run(HELPER, "-o", "Acquire::Retries=1", "download-file", uri, temporary,
             *([f"SHA256:{sha256}"] if sha256 else []))
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    return path


def unpack(package, folder):
    """The files of one of the host's packages, into a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    _run("apt-get", "download", package, cwd=folder)
    _run("dpkg-deb", "-x", os.path.join(folder, os.listdir(folder)[0]), folder)


def _paragraphs(text):
    for block in text.split("\n\n"):
        fields = dict(re.findall(r"^([\w-]+): *(.*(?:\n[ \t].*)*)", block, re.M))
        if fields:
            yield fields


def _names(field):
    """Of a list of packages: the first of alternatives, without versions."""
    return [re.split(r"[ (|:]", word)[0] for word in re.split(r",\s*", field) if word]


class Mirror:
    """`address` is what a guest behind the NAT calls it; `suite` the release it has."""

    def __init__(self, codename, installed):
        """`installed`: the names of the udebs in the installer's RAM disk."""
        self.codename, self.installed = codename, installed
        self.upstream = host_mirror(codename)
        self.lock = threading.Lock()
        self.busy = {}
        self.folder = os.path.join(CACHE, codename)
        self.log = []
        self._make_suite()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"{vm.HOST_ADDRESS}:{self.server.server_address[1]}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    # --- what there is -----------------------------------------------------------------------

    def get(self, path, sha256=None):
        """A file of the host's mirror, which is kept; other than indices it never changes."""
        kept = os.path.join(self.folder, path)
        with self.lock:
            mutex = self.busy.setdefault(path, threading.Lock())
        with mutex:
            if not os.path.exists(kept):
                fetch(f"{self.upstream}/{path}", kept, sha256)
        return kept

    def _index(self, codename):
        """What the index of a release's udebs has, by name; without the check where it is stale."""
        release = fetch(f"{self.upstream}/dists/{codename}/InRelease",
                        os.path.join(self.folder, "release", codename))
        _run("gpgv", "--keyring", KEYRING, release)
        with open(release, encoding="utf-8") as f:
            wanted = re.search(rf"^ ([0-9a-f]{{64}}) +\d+ {INDEX}\.xz$", f.read(), re.M).group(1)
        path = fetch(f"{self.upstream}/dists/{codename}/{INDEX}.xz", release + ".xz",
                     wanted if codename == self.codename else None)
        with lzma.open(path, "rt", encoding="utf-8") as f:
            return {fields["Package"]: fields for fields in _paragraphs(f.read())}

    def _runs(self, path):
        """Can its programs run with the C library of this release?"""
        tree = f"{path}.{os.getpid()}"
        shutil.rmtree(tree, ignore_errors=True)
        _run("dpkg-deb", "-x", path, tree)
        needs = set()
        for folder, _, names in os.walk(tree):
            for name in names:
                file = os.path.join(folder, name)
                if os.path.isfile(file) and not os.path.islink(file):
                    with open(file, "rb") as f:
                        needs |= set(re.findall(rb"GLIBC_2\.(\d+)", f.read()))
        shutil.rmtree(tree)
        ours = int(os.confstr("CS_GNU_LIBC_VERSION").split(".")[-1])
        return all(int(n) <= ours for n in needs)

    def _take(self, fields):
        """A udeb as the index has it, if the host's mirror has it, too."""
        try:
            self.get(fields["Filename"], fields["SHA256"])
            return fields
        except MirrorError:
            return None

    def _make(self, fields):
        """A udeb of packages."""
        name = fields["Package"]
        tree = os.path.join(self.folder, f"tree.{os.getpid()}")
        shutil.rmtree(tree, ignore_errors=True)
        os.makedirs(os.path.join(tree, "DEBIAN"))
        for package, wanted in MADE[name]:
            whole = os.path.join(self.folder, f"whole.{os.getpid()}")
            unpack(package, whole)
            for folder, _, names in os.walk(whole):
                for file in names:
                    path = os.path.join(folder, file)
                    inside = os.path.relpath(path, whole)
                    if re.search(wanted, inside) and "usr/share" not in inside:
                        target = os.path.join(tree, inside)
                        os.makedirs(os.path.dirname(target), exist_ok=True)
                        shutil.copy2(path, target, follow_symlinks=False)
        keep = {k: v for k, v in fields.items() if k in
                ("Package", "Version", "Architecture", "Maintainer", "Section", "Priority", "Depends",
                 "Provides", "Description")}
        with open(os.path.join(tree, "DEBIAN", "control"), "w", encoding="utf-8") as f:
            f.write("".join(f"{k}: {v}\n" for k, v in keep.items()))
        inside = f"pool/made/{name}.udeb"
        path = os.path.join(self.folder, inside)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        # The same bytes each time, so that who uses the one that was there is not disturbed.
        _run("env", "SOURCE_DATE_EPOCH=0", "dpkg-deb", "--root-owner-group", "-Zxz", "-b", tree,
             tree + ".udeb")
        os.replace(tree + ".udeb", path)
        shutil.rmtree(tree)
        shutil.rmtree(whole)
        with open(path, "rb") as f:
            data = f.read()
        return {**keep, "Filename": inside, "Size": str(len(data)),
                "SHA256": hashlib.sha256(data).hexdigest()}

    def _find(self, name, ours, theirs):
        """A udeb's entry for the index, or None."""
        if name in ours and (taken := self._take(ours[name])):
            return taken
        if name in theirs and name not in MADE and (taken := self._take(theirs[name])):
            if self._runs(os.path.join(self.folder, taken["Filename"])):
                self.log.append(f"{name}: the next release's")
                return taken
        if name in ours and name in MADE:
            self.log.append(f"{name}: made of packages")
            return self._make(ours[name])
        return None

    def _make_suite(self):
        """The index: what the installer wants by itself, and what that depends on."""
        kernel = next(n for n in self.installed if n.startswith("kernel-image-"))[len("kernel-image-"):]
        ours = {n: f for n, f in self._index(self.codename).items()
                if not n.endswith("-di") or n.endswith("-modules-" + kernel)}
        theirs = self._index(NEXT[self.codename])
        providers = {}
        for name, fields in ours.items():
            for provided in _names(fields.get("Provides", "")):
                providers.setdefault(provided, []).append(name)
        todo = [n for n, f in ours.items() if f.get("Priority") in ROLES] + \
            ["apt-mirror-setup", "disk-detect", "efi-modules-" + kernel]
        found, absent = {}, set()
        while todo:
            name = todo.pop()
            if name in found or name in absent or name in self.installed:
                continue
            if name not in ours and name in providers:
                todo += self._provider(providers[name], ours)
                continue
            entry = self._find(name, ours, theirs)
            if entry is None:
                absent.add(name)
                continue
            found[name] = dict(entry)
            todo += [n for n in _names(entry.get("Depends", "")) if n not in DISPENSABLE]
        self._write_suite(self._whole(found, absent - set(providers)))

    def _provider(self, names, ours):
        """Of those that provide the same, what the installer has or wants anyway, or the first."""
        if any(n in self.installed or ours[n].get("Priority") in ROLES for n in names):
            return []
        return names[:1]

    def _whole(self, found, absent):
        """Those of which nothing that they need is absent."""
        for fields in found.values():
            words = re.split(r",\s*", fields.get("Depends", ""))
            kept = [w for w in words if _names(w) and _names(w)[0] not in DISPENSABLE]
            fields["Depends"] = ", ".join(re.sub(r" \(.*?\)", "", w) for w in kept)
        while True:
            lost = {n for n, f in found.items() if absent & set(_names(f["Depends"]))}
            if not lost:
                return found
            self.log += [f"{n}: something that it needs is absent" for n in sorted(lost)]
            absent = absent | lost
            found = {n: f for n, f in found.items() if n not in lost}

    def _write_suite(self, found):
        text = "\n".join("".join(f"{k}: {v}\n" for k, v in fields.items() if v)
                         for _, fields in sorted(found.items())).encode()
        self.suite = {
            INDEX: text,
            "Release": (f"Origin: Debian\nSuite: {SUITE}\nCodename: {SUITE}\nArchitectures: amd64\n"
                        f"Components: main\nSHA256:\n {hashlib.sha256(text).hexdigest()} {len(text)} "
                        f"{INDEX}\n").encode()}
        self.udebs = found

    # --- the server --------------------------------------------------------------------------

    def answer(self, path):
        """The bytes or the path of what has this name. Raises MirrorError if there is nothing."""
        if path.startswith(f"dists/{SUITE}/"):
            inside = path.split("/", 2)[2]
            if inside not in self.suite:
                raise MirrorError(path)
            return self.suite[inside]
        if path.startswith("dists/") and "/by-hash/" not in path:
            return fetch(f"{self.upstream}/{path}", os.path.join(self.folder, "fresh", path))
        return self.get(path)

    def _handler(mirror):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                path = os.path.normpath(self.path).lstrip("/")
                try:
                    if not path.startswith("debian/") or ".." in path:
                        raise MirrorError(path)
                    found = mirror.answer(path[len("debian/"):].replace("%2b", "+").replace("%7e", "~"))
                except MirrorError:
                    self.send_error(404)
                    return
                size = len(found) if isinstance(found, bytes) else os.path.getsize(found)
                self.send_response(200)
                self.send_header("Content-Length", str(size))
                self.end_headers()
                if self.command == "HEAD":
                    return
                if isinstance(found, bytes):
                    self.wfile.write(found)
                else:
                    with open(found, "rb") as f:
                        shutil.copyfileobj(f, self.wfile)

            do_HEAD = do_GET

            def log_message(self, form, *args):
                mirror.log.append(form % args)

        return Handler
