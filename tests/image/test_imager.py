#!/usr/bin/env python3
"""Runs banger-imager as the daemon does and looks at what it made with e2fsprogs.

usage: test_imager.py BANGER_IMAGER [TEST...]

Tars come from Python's tarfile, so that reader and writer are not the same library.
"""
import ctypes
import gzip
import hashlib
import io
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import unittest

IMAGER = None
MIB = 1 << 20
NOBODY = 65534
PR_SET_NO_NEW_PRIVS = 38


class Entry:
    """One entry of a tar: a TarInfo and its contents."""

    def __init__(self, name, kind=tarfile.REGTYPE, data=b"", **fields):
        self.info = tarfile.TarInfo(name)
        self.info.type = kind
        self.info.size = len(data)
        self.data = data
        for key, value in fields.items():
            setattr(self.info, key, value)


def make_tar(path, entries, fmt=tarfile.PAX_FORMAT):
    with tarfile.open(path, "w", format=fmt) as tar:
        for e in entries:
            tar.addfile(e.info, io.BytesIO(e.data))


def make_ext4(path):
    subprocess.run(["mke2fs", "-q", "-t", "ext4", path, "64M"], check=True, capture_output=True)


class Job:
    """One run: its exit status, event lines, and staging directory."""

    def __init__(self, staging, *args, **kw):
        run = subprocess.run([IMAGER, args[0], staging, *args[1:]], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, timeout=120, check=False, **kw)
        self.status = run.returncode
        self.lines = run.stdout.splitlines()
        self.results = dict(l.split(" ", 2)[1:] for l in self.lines if l.startswith("result "))
        self.errors = [l[6:] for l in self.lines if l.startswith("error ")]


class ImagerTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="imager-test-")
        self.staging = os.path.join(self.dir, "staging")
        os.mkdir(self.staging)
        self.root = os.path.join(self.staging, "rootfs.ext4")
        self.tar = os.path.join(self.dir, "root.tar")

    def tearDown(self):
        shutil.rmtree(self.dir)

    def import_tar(self, entries, disk=64 * MIB, **kw):
        make_tar(self.tar, entries)
        return self.import_file(self.tar, disk, **kw)

    def import_file(self, path, disk=64 * MIB, **kw):
        return Job(self.staging, "image-import", path, str(disk), **kw)

    def assert_done(self, job):
        self.assertEqual((job.status, job.errors), (0, []))
        fsck = subprocess.run(["e2fsck", "-fn", self.root], capture_output=True, text=True,
                              check=False)
        self.assertEqual(fsck.returncode, 0, fsck.stdout)

    def assert_refused(self, job, code, *words):
        self.assertEqual(job.status, 1)
        self.assertEqual(len(job.errors), 1, job.lines)
        self.assertTrue(job.errors[0].startswith(code + " "), job.errors)
        for word in words:
            self.assertIn(word, job.errors[0])

    def debugfs(self, command):
        return subprocess.run(["debugfs", "-R", command, self.root], capture_output=True,
                              check=True).stdout

    def stat(self, path):
        return self.debugfs(f"stat {path}").decode()

    def cat(self, path):
        return self.debugfs(f"cat {path}")


class Contents(ImagerTest):
    """What a tar says is in the file system."""

    def test_keeps_owner_mode_and_time(self):
        self.assert_done(self.import_tar([
            Entry("a", data=b"hello", mode=0o4751, uid=70000, gid=4000000000,
                  mtime=4294967296 + 5)]))
        text = self.stat("a")
        self.assertIn("Mode:  04751", text)
        self.assertIn("User: 70000", text)
        self.assertIn("4000000000", text.replace("-294967296", "4000000000"))
        self.assertIn("mtime: 0x00000005", text)
        self.assertEqual(self.cat("a"), b"hello")

    def test_keeps_nanoseconds(self):
        e = Entry("a", data=b"x")
        e.info.pax_headers = {"mtime": "1700000000.123456789"}
        self.assert_done(self.import_tar([e]))
        self.assertIn(f"mtime: 0x6553f100:{123456789 << 2:08x}", self.stat("a"))

    def test_keeps_devices_fifos_and_symlinks(self):
        self.assert_done(self.import_tar([
            Entry("null", tarfile.CHRTYPE, devmajor=1, devminor=3),
            Entry("big", tarfile.BLKTYPE, devmajor=259, devminor=70000),
            Entry("pipe", tarfile.FIFOTYPE),
            Entry("short", tarfile.SYMTYPE, linkname="null"),
            Entry("long", tarfile.SYMTYPE, linkname="x/" * 500)]))
        self.assertIn("Device major/minor number: 01:03", self.stat("null"))
        self.assertIn("Device major/minor number: 259:70000", self.stat("big"))
        self.assertIn("Type: FIFO", self.stat("pipe"))
        self.assertIn('Fast link dest: "null"', self.stat("short"))
        self.assertIn("Size: 1000", self.stat("long"))

    def test_keeps_hard_links(self):
        self.assert_done(self.import_tar([
            Entry("d/a", data=b"one"), Entry("b", tarfile.LNKTYPE, linkname="./d/a")]))
        self.assertIn("Links: 2", self.stat("b"))
        self.assertEqual(self.cat("b"), b"one")

    def test_keeps_extended_attributes(self):
        cap = struct.pack("<IIIII", 0x02000001, 0x400, 0, 0, 0)
        e = Entry("ping", data=b"x")
        e.info.pax_headers = {"SCHILY.xattr.security.capability": cap.decode("latin-1"),
                              "SCHILY.xattr.user.note": "v"}
        self.assert_done(self.import_tar([e]))
        out = self.debugfs("ea_list ping").decode()
        self.assertIn("security.capability (20)", out)
        self.assertIn('user.note (1) = "v"', out)

    def test_large_files_cost_what_they_hold(self):
        """A sparse file of 3 GiB with a byte at its end, in GNU's old sparse format of tar(1)."""
        big = os.path.join(self.dir, "big")
        with open(big, "wb") as f:
            f.truncate(3 << 30)
            f.seek((3 << 30) - 1)
            f.write(b"z")
        subprocess.run(["tar", "-cSf", self.tar, "-C", self.dir, "big"], check=True)
        self.assert_done(self.import_file(self.tar))
        self.assertIn(f"Size: {3 << 30}", self.stat("big"))

    def test_many_names_in_one_directory(self):
        names = [f"d/file-with-a-longish-name-{i:05}" for i in range(3000)]
        self.assert_done(self.import_tar([Entry(n) for n in names]))
        listing = self.debugfs("ls -p d").decode()
        self.assertEqual(listing.count("file-with"), 3000)

    def test_the_last_entry_of_a_name_wins(self):
        self.assert_done(self.import_tar([
            Entry("a", data=b"1" * 100000), Entry("b", tarfile.LNKTYPE, linkname="a"),
            Entry("a", data=b"2"), Entry("c", data=b"3" * 50000),
            Entry("c", tarfile.SYMTYPE, linkname="a"), Entry("e", tarfile.DIRTYPE),
            Entry("e", data=b"file")]))
        self.assertEqual(self.cat("a"), b"2")
        self.assertEqual(self.cat("b"), b"1" * 100000)
        self.assertEqual(self.cat("e"), b"file")

    def test_a_path_through_a_symlink_stays_inside(self):
        self.assert_done(self.import_tar([
            Entry("usr/lib", tarfile.DIRTYPE), Entry("lib", tarfile.SYMTYPE, linkname="usr/lib"),
            Entry("out", tarfile.SYMTYPE, linkname="/../../../tmp"),
            Entry("lib/x", data=b"x"), Entry("out/banger-escape", data=b"y")]))
        self.assertEqual(self.cat("usr/lib/x"), b"x")
        self.assertEqual(self.cat("tmp/banger-escape"), b"y")
        self.assertFalse(os.path.exists("/tmp/banger-escape"))

    def test_leading_slashes_are_dropped(self):
        self.assert_done(self.import_tar([Entry("/etc/x", data=b"x")]))
        self.assertEqual(self.cat("etc/x"), b"x")

    def test_names_beyond_ascii(self):
        self.assert_done(self.import_tar([Entry("größe/ключ", data=b"k")]))
        self.assertEqual(self.cat("größe/ключ"), b"k")

    def test_mount_points_are_made(self):
        self.assert_done(self.import_tar([Entry("a")]))
        self.assertIn("Mode:  01777", self.stat("tmp"))
        self.assertIn("Type: directory", self.stat("proc"))


class Files(ImagerTest):
    """Sources, sizes and results."""

    def test_a_disk_of_default_size_is_sparse(self):
        job = self.import_tar([Entry("a", data=b"x")], disk=0)
        self.assert_done(job)
        st = os.stat(self.root)
        self.assertEqual(st.st_size, 8 << 30)
        self.assertLess(st.st_blocks * 512, 4 * MIB)
        self.assertEqual(job.results["bytes"], str(8 << 30))

    def test_the_sum_is_of_the_source(self):
        for compress in (lambda b: b, gzip.compress):
            make_tar(self.tar, [Entry("a", data=b"x" * 100000)])
            with open(self.tar, "rb") as f:
                data = compress(f.read())
            with open(self.tar, "wb") as f:
                f.write(data)
            shutil.rmtree(self.staging)
            os.mkdir(self.staging)
            job = self.import_file(self.tar)
            self.assert_done(job)
            self.assertEqual(job.results["sha256"], hashlib.sha256(data).hexdigest())

    def test_an_upper_layer_is_empty_clean_and_small(self):
        self.assert_done(self.import_tar([Entry("hello", data=b"x")]))
        upper = os.path.join(self.staging, "upper.ext4")
        self.assertEqual(os.stat(upper).st_size, os.stat(self.root).st_size)
        self.assertLess(os.stat(upper).st_blocks * 512, MIB)
        subprocess.run(["e2fsck", "-fn", upper], check=True, capture_output=True)
        names = subprocess.run(["debugfs", "-R", "ls -p /", upper], check=True, capture_output=True, text=True).stdout
        self.assertEqual([l.split("/")[5] for l in names.split()], [".", "..", "lost+found"])

    def test_an_ext4_image_is_copied_with_its_holes(self):
        image = os.path.join(self.dir, "x.ext4")
        make_ext4(image)
        job = self.import_file(image, 0)
        self.assert_done(job)
        with open(image, "rb") as a, open(self.root, "rb") as b:
            self.assertEqual(hashlib.sha256(a.read()).digest(), hashlib.sha256(b.read()).digest())
        self.assertLessEqual(os.stat(self.root).st_blocks, os.stat(image).st_blocks)

    def test_an_ext4_image_that_is_cut_short_is_refused(self):
        image = os.path.join(self.dir, "x.ext4")
        make_ext4(image)
        os.truncate(image, 32 * MIB)
        self.assert_refused(self.import_file(image, 0), "image.bad", "cut short")

    def test_an_ext4_image_larger_than_the_disk_is_refused(self):
        image = os.path.join(self.dir, "x.ext4")
        make_ext4(image)
        self.assert_refused(self.import_file(image, 32 * MIB), "vm.size", "64 MiB")

    def test_contents_that_do_not_fit_are_told(self):
        job = self.import_tar([Entry("a", data=os.urandom(20 * MIB))], disk=16 * MIB)
        self.assert_refused(job, "vm.size", "16 MiB")

    def test_a_missing_source_is_named(self):
        self.assert_refused(self.import_file("/nonexistent/x.tar"), "host.io", "/nonexistent/x.tar")

    def test_a_directory_or_fifo_is_no_source(self):
        fifo = os.path.join(self.dir, "fifo")
        os.mkfifo(fifo)
        for path in (self.dir, fifo):
            self.assert_refused(self.import_file(path), "host.io", "not a regular file")
            os.unlink(os.path.join(self.staging, "log"))

    def test_what_is_no_image_is_refused(self):
        for data in (b"", b"hello" * 1000, os.urandom(100000), b"\0" * 10240):
            with open(self.tar, "wb") as f:
                f.write(data)
            self.assert_refused(self.import_file(self.tar), "image.bad")
            shutil.rmtree(self.staging)
            os.mkdir(self.staging)

    def test_a_full_disk_is_told(self):
        """RLIMIT_FSIZE stands in for it: EFBIG takes the same way as ENOSPC."""
        job = self.import_tar([Entry("a", data=os.urandom(8 * MIB))],
                              preexec_fn=lambda: limit_file_size(4 * MIB))
        self.assert_refused(job, "host.disk_full")

    def test_a_wrong_command_line_is_a_usage_error(self):
        for args in ([], ["image-import"], ["image-import", self.staging, "x", "-1"],
                     ["image-import", "relative", "x", "0"], ["nonsense", self.staging, "x", "0"]):
            run = subprocess.run([IMAGER, *args], capture_output=True, check=False)
            self.assertEqual(run.returncode, 2, args)
            self.assertEqual(run.stdout, b"")


def limit_file_size(size):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


class Hostile(ImagerTest):
    """Each refusal names the entry."""

    def refuse(self, entries, *words):
        self.assert_refused(self.import_tar(entries), "image.bad", *words)

    def test_dot_dot(self):
        self.refuse([Entry("ok/../../evil")], "ok/../../evil", "..")

    def test_hard_link_to_outside(self):
        self.refuse([Entry("evil", tarfile.LNKTYPE, linkname="../../etc/passwd")], "evil")

    def test_hard_link_to_an_absolute_path_means_inside(self):
        self.refuse([Entry("evil", tarfile.LNKTYPE, linkname="/etc/passwd")], "evil", "missing")

    def test_hard_link_to_a_directory(self):
        self.refuse([Entry("d", tarfile.DIRTYPE), Entry("evil", tarfile.LNKTYPE, linkname="d")],
                    "evil", "directory")

    def test_path_through_a_file(self):
        self.refuse([Entry("f", data=b"x"), Entry("f/evil")], "f/evil")

    def test_path_through_a_circle(self):
        self.refuse([Entry("a", tarfile.SYMTYPE, linkname="b"),
                     Entry("b", tarfile.SYMTYPE, linkname="a"), Entry("a/evil")], "a/evil")

    def test_newline_in_a_name_forges_no_event(self):
        self.refuse([Entry("evil\nresult sha256 0000")], "evil?result", "control byte")

    def test_name_too_long(self):
        self.refuse([Entry("x" * 256)], "255")
        # and the line stays within its bound, whatever the name
        shutil.rmtree(self.staging)
        os.mkdir(self.staging)
        job = self.import_tar([Entry("x" * 5000)])
        self.assertLess(max(map(len, job.lines)), 1024)

    def test_file_over_a_directory_with_contents(self):
        self.refuse([Entry("d/x"), Entry("d", data=b"evil")], "d:", "not empty")

    def test_the_root_cannot_be_replaced(self):
        self.refuse([Entry("./", tarfile.SYMTYPE, linkname="/etc")], "not empty")

    def test_truncated_contents(self):
        make_tar(self.tar, [Entry("evil", data=b"x" * 100000)])
        os.truncate(self.tar, 40000)
        self.assert_refused(self.import_file(self.tar), "image.bad", "evil")

    def test_size_that_lies(self):
        make_tar(self.tar, [Entry("evil", data=b"x")], tarfile.USTAR_FORMAT)
        with open(self.tar, "r+b") as f:
            head = bytearray(f.read(512))
            head[124:136] = b"77777777777\0"
            head[148:156] = b"        "
            head[148:156] = b"%06o\0 " % sum(head)
            f.seek(0)
            f.write(head)
        self.assert_refused(self.import_file(self.tar), "image.bad", "evil")

    def test_too_many_extended_attributes(self):
        e = Entry("evil", data=b"x")
        e.info.pax_headers = {f"SCHILY.xattr.user.a{i}": "v" for i in range(65)}
        self.refuse([e], "evil", "64")

    def test_extended_attribute_larger_than_a_block(self):
        e = Entry("evil", data=b"x")
        e.info.pax_headers = {"SCHILY.xattr.user.a": "v" * 10000}
        self.refuse([e], "evil", "extended attribute")

    def test_bomb(self):
        """2 GiB of zeros in 2 MB: more than a gigabyte, and a thousand times its size."""
        e = Entry("evil")
        e.info.size = 2 << 30
        zeros = gzip.compress(bytes(64 * MIB))
        with open(self.tar, "wb") as f:
            f.write(gzip.compress(e.info.tobuf()))
            for _ in range(32):
                f.write(zeros)  # gzip members may follow each other: compress them once
        self.assert_refused(self.import_file(self.tar, 4 << 30), "image.bad", "evil", "expands")


class Kernel(ImagerTest):
    """kernel-import with a package of our own making."""

    def elf(self, depends=""):
        """An x86-64 ELF with a PVH note and a .modinfo section."""
        note = struct.pack("<III4sI", 4, 4, 18, b"Xen\0", 0x1000000)
        info = b"license=GPL\0depends=" + depends.encode() + b"\0"
        names = b"\0.shstrtab\0.modinfo\0"
        at = 64 + 56 + 3 * 64
        head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack(
            "<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 120, 0, 64, 56, 1, 64, 3, 1)
        part = struct.pack("<IIQQQQQQ", 4, 4, at, 0, 0, len(note), len(note), 4)
        at += len(note)
        sections = bytes(64) + struct.pack("<IIQQQQIIQQ", 1, 3, 0, 0, at, len(names), 0, 0, 1, 0)
        sections += struct.pack("<IIQQQQIIQQ", 11, 1, 0, 0, at + len(names), len(info), 0, 0, 1, 0)
        return head + part + sections + note + names + info + b"Linux version 6.1.0-t (x@y)"

    def package(self, files, compress=gzip.compress, suffix=".gz"):
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            for name, contents in files.items():
                e = Entry(name, data=contents)
                tar.addfile(e.info, io.BytesIO(contents))
        path = os.path.join(self.dir, "linux-image-x.deb")
        with open(path, "wb") as f:
            f.write(b"!<arch>\n")
            for name, body in (("debian-binary", b"2.0\n"), ("control.tar.gz", b"x"),
                               ("data.tar" + suffix, compress(data.getvalue()))):
                f.write(f"{name:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(body):<10}`\n".encode())
                f.write(body + b"\n" * (len(body) % 2))
        return path

    def import_kernel(self, path, initrd="", modules=""):
        return Job(self.staging, "kernel-import", path, initrd, modules, "/bin/true", "/bin/false")

    def initrd_names(self):
        with open(os.path.join(self.staging, "initrd"), "rb") as f:
            return subprocess.run(["cpio", "-t"], stdin=f, capture_output=True, text=True,
                                  check=True).stdout.split()

    def test_a_package_gives_kernel_and_modules_in_order(self):
        top = "./lib/modules/6.1.0-t/kernel/"
        job = self.import_kernel(self.package({
            "./boot/vmlinuz-6.1.0-t": self.elf(),
            top + "virtio_blk.ko": self.elf("virtio"),
            top + "virtio.ko.gz": gzip.compress(self.elf()),
            top + "sound.ko": self.elf()}))
        self.assertEqual((job.status, job.errors), (0, []))
        self.assertEqual(job.results["version"], "6.1.0-t")
        self.assertEqual(job.results["format"], "elf")
        names = self.initrd_names()
        self.assertEqual(names[-2:], ["lib/modules/virtio.ko", "lib/modules/virtio_blk.ko"])
        with open(os.path.join(self.staging, "vmlinux"), "rb") as f:
            self.assertEqual(f.read(), self.elf())

    def test_an_uncompressed_package(self):
        job = self.import_kernel(self.package({"./boot/vmlinux-6": self.elf()}, bytes, ""))
        self.assertEqual((job.status, job.errors), (0, []))

    def test_modules_of_a_directory(self):
        kernel = os.path.join(self.dir, "vmlinux")
        tree = os.path.join(self.dir, "modules", "kernel")
        os.makedirs(tree)
        for path, contents in ((kernel, self.elf()),
                               (os.path.join(tree, "virtio-rng.ko"), self.elf())):
            with open(path, "wb") as f:
                f.write(contents)
        job = self.import_kernel(kernel, modules=tree)
        self.assertEqual((job.status, job.errors), (0, []))
        self.assertEqual(self.initrd_names()[-1], "lib/modules/virtio_rng.ko")

    def test_an_initrd_of_the_users_own_is_kept(self):
        kernel = os.path.join(self.dir, "vmlinux")
        with open(kernel, "wb") as f:
            f.write(self.elf())
        job = self.import_kernel(kernel, initrd=self.own_file(b"as it came"))
        self.assertEqual((job.status, job.errors), (0, []))
        with open(os.path.join(self.staging, "initrd"), "rb") as f:
            self.assertEqual(f.read(), b"as it came")

    def own_file(self, data):
        path = os.path.join(self.dir, "own")
        with open(path, "wb") as f:
            f.write(data)
        return path

    def test_what_is_no_kernel_is_refused(self):
        for data in (b"", b"hello", self.elf()[:100], b"!<arch>\ndebian-binary"):
            self.assert_refused(self.import_kernel(self.own_file(data)), "kernel.bad")
            shutil.rmtree(self.staging)
            os.mkdir(self.staging)

    def test_a_package_without_a_kernel_is_refused(self):
        path = self.package({"./usr/share/doc/x": b"x"})
        self.assert_refused(self.import_kernel(path), "kernel.bad", "no kernel")

    def test_a_module_whose_need_is_missing_is_named(self):
        path = self.package({"./boot/vmlinuz-6": self.elf(),
                             "./lib/modules/6/tun.ko": self.elf("gone")})
        self.assert_refused(self.import_kernel(path), "kernel.bad", "tun", "gone")


class Build(ImagerTest):
    """image-build with a mmdebstrap of our own making."""

    def build(self, script, source="debian:bookworm", packages=(), **more):
        tools = os.path.join(self.dir, "bin")
        os.makedirs(tools, exist_ok=True)
        if script is not None:
            path = os.path.join(tools, "mmdebstrap")
            with open(path, "w") as f:
                f.write("#!/bin/sh\n" + script)
            os.chmod(path, 0o755)
        # The tool is looked for in our directory only; what its script needs has its full name.
        return Job(self.staging, "image-build", source, str(64 * MIB), *packages,
                   env={**os.environ, "PATH": tools}, **more)

    def test_where_no_privilege_can_be_gained_it_says_so_first(self):
        for path in self.dir, self.staging:
            os.chown(path, NOBODY if os.geteuid() == 0 else -1, -1)

        def confine():
            if os.geteuid() == 0:
                os.setuid(NOBODY)
            ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)

        job = self.build("echo ran >&2; exit 1", preexec_fn=confine)
        self.assertEqual((job.status, len(job.errors)), (1, 1))
        self.assertRegex(job.errors[0], "^image.build the daemon may not gain privilege.*--session")

    def test_its_tar_becomes_the_image(self):
        make_tar(self.tar, [Entry("etc/x", data=b"x")])
        job = self.build(f'echo "$@" >&2; exec /bin/cat {self.tar}', packages=["vim", "g++"])
        self.assert_done(job)
        self.assertEqual(self.cat("etc/x"), b"x")
        with open(os.path.join(self.staging, "log")) as f:
            log = f.read()
        self.assertIn("--include=iproute2,procps,vim,g++ bookworm -", log)
        self.assertIn('rm -f "$1/etc/resolv.conf"', log)  # the builder's name servers are not the guest's
        self.assertEqual(sorted(os.listdir(self.staging)), ["log", "rootfs.ext4", "upper.ext4"])

    def test_its_last_words_are_in_the_error(self):
        job = self.build('echo "I: working" >&2; echo "E: no such suite" >&2\n'
                         'echo "I: cleaning up" >&2; exit 25')
        self.assert_refused(job, "image.build", "25", "E: no such suite")

    def test_a_tool_that_fails_after_a_good_tar_fails_the_build(self):
        make_tar(self.tar, [Entry("a")])
        self.assert_refused(self.build(f"/bin/cat {self.tar}; exit 1"), "image.build")

    def test_a_missing_tool_says_how_to_get_it(self):
        self.assert_refused(self.build(None), "image.build", "apt-get install mmdebstrap")

    def test_our_own_refusal_comes_before_the_broken_pipe(self):
        make_tar(self.tar, [Entry("../evil", data=b"x"), Entry("b", data=bytes(4 * MIB))])
        self.assert_refused(self.build(f"exec /bin/cat {self.tar}"), "image.bad", "../evil")

    def test_words_that_could_be_options_are_refused(self):
        for source, packages in (("debian:--help", ()), ("debian:", ()), ("ubuntu:noble", ()),
                                 ("debian:sid", ("--setup-hook=x",)), ("debian:sid", ("a,b",)),
                                 ("debian:sid", ("",))):
            job = self.build("exit 1", source, packages)
            self.assert_refused(job, "request.bad")


def arguments():
    global IMAGER
    IMAGER = os.path.abspath(sys.argv.pop(1))
    for tool in ("e2fsck", "debugfs", "mke2fs"):
        if not shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            print(f"{tool} is not installed")
            sys.exit(77)
    os.environ["PATH"] += ":/usr/sbin:/sbin"


if __name__ == "__main__":
    arguments()
    unittest.main(verbosity=2)
