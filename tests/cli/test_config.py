#!/usr/bin/python3
"""Settings on the command line, against a fake daemon and without one.

usage: test_config.py BANGER
"""
import json
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fake  # noqa: E402

BANGER = os.path.abspath(sys.argv[1])


class Case(fake.Case):
    banger = BANGER

    def write(self, text, name="config/banger.conf"):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path


class Show(Case):
    def test_without_a_daemon_it_says_what_one_would_read_and_starts_none(self):
        path = self.write("[defaults]\nmemory = 1G\nvcpus = 2\n")
        status, out, err = self.run_cli("config", "show", env=dict(self.env, BANGER_DISK="16G"))
        self.assertEqual(status, 0)
        self.assertRegex(out, rf"defaults\.memory +1GiB +{path}:2\n")
        self.assertRegex(out, r"defaults\.disk +16GiB +environment BANGER_DISK\n")
        self.assertRegex(out, r"defaults\.vcpu +\d +host\n")
        self.assertIn("no daemon runs; this is what one would read", err)
        self.assertIn(f'{path}:3: unknown key "vcpus" in [defaults]; did you mean "vcpu"?', err)
        self.assertEqual(self.lines("start"), [])

    def test_with_one_it_is_the_daemons_and_the_command_lines_own(self):
        self.run_cli("ping")
        self.write("[cli]\ncolor = never\n[defaults]\nvcpu = 3\n")
        rows = {r["key"]: r for r in json.loads(self.run_cli("config", "show", "--json")[1])}
        self.assertEqual(rows["defaults.vcpu"]["value"], "2", "the daemon has not read it")
        self.assertEqual((rows["cli.color"]["value"], rows["cli.color"]["source"]), ("never", "file"))
        _, out, err = self.run_cli("config", "show")
        self.assertRegex(out, r"vmm\.accel +auto +built in; kvm once the daemon starts again")
        self.assertIn("read from /etc/fake.conf", err)


class Check(Case):
    def test_every_problem_has_its_line_and_the_status_is_1(self):
        path = self.write("vcpu = 1\n[defaults]\nvcpu = many\nmemory = 0\n[limit]\nvms_max = 1\n", "x.conf")
        status, out, _ = self.run_cli("config", "check", path)
        self.assertEqual((status, out.splitlines()), (1, [
            f'{path}:1: warning: "vcpu" comes before any [section]',
            f'{path}:3: defaults.vcpu "many" is not a number from 1 to 64',
            f'{path}:4: defaults.memory: "0" is zero',
            f'{path}:6: warning: unknown section [limit]; did you mean [limits]?']))
        rows = json.loads(self.run_cli("config", "check", "--json", path)[1])
        self.assertEqual([r["fatal"] for r in rows], [False, True, True, False])

    def test_a_good_file_is_said_to_be_good(self):
        path = self.write("[defaults]\nvcpu = 1\n", "x.conf")
        self.assertEqual(self.run_cli("config", "check", path), (0, "", f"banger: {path}: no problem\n"))
        self.assertEqual(self.run_cli("config", "check", "--json", path)[1], "[]\n")
        self.assertEqual(self.run_cli("config", "check")[0], 0)

    def test_a_file_that_is_not_there_is_a_problem(self):
        status, out, _ = self.run_cli("config", "check", "/nope")
        self.assertEqual((status, out), (1, "/nope: No such file or directory\n"))


class Reload(Case):
    def test_says_what_changed(self):
        self.run_cli("ping")
        status, out, _ = self.run_cli("config", "reload")
        self.assertEqual((status, out), (0, "defaults.memory\nvmm.accel once the daemon starts again\n"))

    def test_without_a_daemon_there_is_nothing_to_do(self):
        status, out, err = self.run_cli("config", "reload")
        self.assertEqual((status, out, self.lines("start")), (0, "", []))
        self.assertIn("no daemon runs", err)


class Settings(Case):
    def created(self, *args, **env):
        status, _, err = self.run_cli("vm", "create", *args, env=dict(self.env, **env))
        self.assertEqual(status, 0, err)
        return json.loads(self.lines("spec ")[-1][5:])

    def test_the_environment_is_part_of_a_request_unless_an_option_says_more(self):
        spec = self.created(BANGER_VCPU="3", BANGER_MEMORY="512M", BANGER_IMAGE="debian:trixie", BANGER_VMM="qemu")
        self.assertEqual((spec["vcpu"], spec["memory_bytes"], spec["image"], spec["vmm"]),
                         (3, 512 << 20, "debian:trixie", "qemu"))
        spec = self.created("--vcpu", "1", "--image", "debian:bookworm", BANGER_VCPU="3", BANGER_IMAGE="x")
        self.assertEqual((spec["vcpu"], spec["image"]), (1, "debian:bookworm"))

    def test_a_file_is_the_daemons_to_read(self):
        self.write("[defaults]\nvcpu = 3\n")
        self.assertNotIn("vcpu", self.created())

    def test_a_bad_variable_is_refused_by_what_would_use_it_alone(self):
        env = dict(self.env, BANGER_MEMORY="lots")
        status, _, err = self.run_cli("vm", "create", env=env)
        self.assertEqual(status, 2)
        self.assertIn('BANGER_MEMORY: defaults.memory: "lots" is not a number', err)
        self.assertEqual(self.run_cli("vm", "create", "--memory", "1G", env=env)[0], 0)
        self.assertEqual(self.run_cli("ps", env=env)[0], 0)

    def test_which_daemon_is_started_is_a_setting(self):
        daemon = self.env.pop("BANGER_DAEMON")
        self.write(f"[cli]\ndaemon = {daemon}\n")
        self.assertEqual(self.run_cli("ping")[0], 0)
        self.assertEqual(len(self.lines("start")), 1)

    def test_a_relative_daemon_is_refused(self):
        status, _, err = self.run_cli("ping", env=dict(self.env, BANGER_DAEMON="fake_bangerd.py"))
        self.assertEqual(status, 1)
        self.assertIn("BANGER_DAEMON=fake_bangerd.py is not an absolute path", err)

    def test_config_goes_on_to_the_daemon_that_is_started(self):
        path = self.write("", "x.conf")
        self.assertEqual(self.run_cli("--config", path, "ping")[0], 0)
        self.assertEqual(self.lines("argv"), [f"argv --config {path}"])
        status, _, err = self.run_cli("--config", "/nope", "ping")
        self.assertEqual(status, 2)
        self.assertIn("--config /nope: No such file or directory", err)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
