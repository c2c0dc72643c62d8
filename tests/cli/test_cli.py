#!/usr/bin/python3
"""The command line against a fake daemon: what is printed, where, and the exit status.

usage: test_cli.py BANGER
"""
import json
import os
import pty
import re
import resource
import select
import signal
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fake  # noqa: E402
from fake import WAIT_S  # noqa: E402

BANGER = os.path.abspath(sys.argv[1])


class Case(fake.Case):
    banger = BANGER


class Copy(Case):
    def test_out_in_constant_memory(self):
        n = 64 << 20
        asan = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4"
        p = self.popen("cp", "web:/zeros-%d" % n, self.dir + "/z", stdin=subprocess.DEVNULL, stderr=None, stdout=None,
                       env=dict(self.env, ASAN_OPTIONS=asan))
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual((p.returncode, os.path.getsize(self.dir + "/z")), (0, n))
        self.assertLess(usage.ru_maxrss, 100 << 10, "KiB")

    def test_a_note_says_of_which_vm(self):
        status, _, err = self.run_cli("cp", "web:/zeros-10", self.dir + "/z")
        self.assertEqual((status, err), (0, "banger: web:/sock: left out: a socket\n"))

    def test_the_other_sides_error_is_told_with_its_vm(self):
        with open(self.dir + "/big", "wb") as f:
            f.truncate(1)
            f.write(os.urandom(300000))
        for args, says in ((["web:/nothing", "."], "web: /nothing: No such file"),
                           ([self.dir + "/big", "web:/nothing"], "web: /nothing: No such file"),
                           ([self.dir + "/big", "web:/full"], "web: /full/x: No space left on device")):
            status, _, err = self.run_cli("cp", *args)
            self.assertEqual(status, 1)
            self.assertIn(says, err)

    def test_an_archive_cut_short_is_told(self):
        status, _, err = self.run_cli("cp", "web:/cut", self.dir + "/z")
        self.assertEqual(status, 1)
        self.assertIn("ends too early", err)

    def test_our_own_error_cancels_the_other_side(self):
        os.mkdir(self.dir + "/zeros")
        os.mkdir(self.dir + "/zeros/zeros")
        status, _, err = self.run_cli("cp", "web:/zeros-90000000", self.dir + "/zeros")
        self.assertEqual(status, 1)
        self.assertIn("zeros/zeros: is a directory", err)
        self.assertEqual(len(self.lines("cancel")), 1)

    def test_standard_input_is_sent_as_it_is(self):
        status, _, _ = self.run_cli("cp", "-", "web:/x", input=b"x" * 1000000)
        self.assertEqual((status, self.lines("copied")), (0, ["copied 1000000"]))


class Exec(Case):
    def test_status_of_the_command_is_ours(self):
        for n in (0, 1, 42, 130, 255):
            self.assertEqual(self.run_cli("exec", "web", "--", "exit", str(n))[0], n)

    def test_not_found_denied_and_our_own_failures(self):
        self.assertEqual(self.run_cli("exec", "web", "missing")[0], 127)
        self.assertEqual(self.run_cli("exec", "web", "denied")[0], 126)
        self.assertEqual(self.run_cli("exec", "web", "--nonsense")[0], 125)
        self.assertEqual(self.run_cli("exec", "web")[0], 125)

    def test_output_streams_stay_apart(self):
        self.assertEqual(self.run_cli("exec", "web", "both"), (0, "to stdout\n", "to stderr\n"))

    def test_large_output_flows_by_credit_in_constant_memory(self):
        n = 64 << 20
        # A sanitizer keeps what is freed for a while; that is not ours to count.
        asan = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4"
        p = self.popen("exec", "web", "yes", str(n), stdin=subprocess.DEVNULL, stderr=None,
                       env=dict(self.env, ASAN_OPTIONS=asan))
        got = 0
        while True:
            b = p.stdout.read(1 << 20)
            if not b:
                break
            got += len(b)
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        p.stdin = None
        p.stdout.close()
        self.assertEqual((got, p.returncode), (n, 0))
        self.assertLess(usage.ru_maxrss, 100 << 10, "KiB")

    def test_input_flows_by_credit(self):
        n = 3 << 20
        self.assertEqual(self.run_cli("exec", "web", "sum", input=b"x" * n), (0, "%d\n" % n, ""))
        data = os.urandom(1 << 20)
        p = subprocess.run([BANGER, "exec", "web", "cat"], input=data, capture_output=True, env=self.env, timeout=WAIT_S)
        self.assertEqual(p.stdout, data)

    def test_without_stdin_the_command_is_told(self):
        status, out, _ = self.run_cli("exec", "--no-stdin", "web", "show", "stdin_open", input=b"x")
        self.assertEqual((status, out), (0, "[]\n"))

    def test_arguments_environment_and_directory_arrive_as_given(self):
        _, out, _ = self.run_cli("exec", "-e", "A=b c", "-w", "/srv", "web", "show", "cwd", "env", "argv", "it's $HOME")
        self.assertIn("('cwd', '/srv')", out)
        self.assertIn("('env', {'A': 'b c'})", out)
        self.assertIn('"it\'s $HOME"', out)

    def test_signals_are_passed_without_a_terminal(self):
        for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
            p = self.popen("exec", "web", "ready")
            self.assertEqual(p.stdout.readline(), b"ready\n")
            p.send_signal(signo)
            p.communicate(timeout=WAIT_S)
            self.assertEqual(p.returncode, 128 + signo)
        self.assertEqual(len(self.lines("signal")), 4)

    def test_third_interrupt_leaves(self):
        p = self.popen("exec", "web", "mute")
        self.until("request vm.exec")
        for n in (1, 2):
            p.send_signal(signal.SIGINT)
            end = time.monotonic() + WAIT_S
            while len(self.lines("signal 2")) < n and time.monotonic() < end:
                select.select([], [], [], 0.01)
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=WAIT_S)
        self.assertEqual(p.returncode, 130)

    def test_daemon_dying_is_told_and_is_125(self):
        status, _, err = self.run_cli("exec", "web", "die")
        self.assertEqual(status, 125)
        self.assertIn("the daemon closed the connection (daemon.down, op ", err)

    def test_closed_output_ends_the_command(self):
        p = self.popen("exec", "web", "yes", str(1 << 30))
        p.stdout.read(10)
        p.stdout.close()
        p.wait(timeout=WAIT_S)
        p.stdin.close()
        p.stderr.close()
        self.assertEqual(p.returncode, 141)
        self.assertEqual(len(self.lines("cancel")), 1)

    def test_many_prefix_each_line_and_count_failures(self):
        status, out, err = self.run_cli("exec", "--all", "--", "both")
        self.assertEqual(status, 0)
        self.assertEqual(sorted(out.splitlines()), ["web-%d | to stdout" % i for i in range(1, 6)])
        self.assertEqual(sorted(err.splitlines()), ["web-%d | to stderr" % i for i in range(1, 6)])
        self.assertEqual(self.run_cli("exec", "-l", "a=b", "--", "exit", "3")[0], 5)

    def test_many_flow_by_credit_too(self):
        n = 3 << 20
        status, out, _ = self.run_cli("exec", "--all", "--", "yes", str(n))
        self.assertEqual((status, out.count("y")), (0, 5 * (n - n // 32768)))

    def test_more_output_than_granted_is_refused(self):
        status, _, err = self.run_cli("exec", "web", "flood")
        self.assertEqual(status, 125)
        self.assertIn("more output than it might", err)

    def test_full_output_is_an_error(self):
        with open("/dev/full", "w") as full:
            p = self.popen("exec", "web", "yes", str(1 << 30), stdout=full)
            _, err = p.communicate(timeout=WAIT_S)
        self.assertEqual(p.returncode, 125)
        self.assertIn(b"No space left", err)

    def test_closed_standard_descriptors_do_no_harm(self):
        p = subprocess.run(["/bin/sh", "-c", '"$0" exec web both 2>&- <&-; echo $?', BANGER], env=self.env,
                           capture_output=True, timeout=WAIT_S)
        self.assertEqual(p.stdout, b"to stdout\n0\n")

    def test_json_errors(self):
        _, _, err = self.run_cli("exec", "--json", "web", "missing")
        e = json.loads(err)
        self.assertEqual((e["code"], len(e["op_id"])), ("exec.not_found", 26))


class Terminal(Case):
    def test_is_raw_meanwhile_and_restored_after(self):
        import termios
        for ending in ("exit", signal.SIGTERM):
            main, sub = pty.openpty()
            before = termios.tcgetattr(sub)
            words = ["exit", "7"] if ending == "exit" else ["mute"]
            p = self.popen("exec", "-t", "web", *words, stdin=sub, stdout=sub, stderr=sub)
            if ending != "exit":
                end = time.monotonic() + WAIT_S
                while termios.tcgetattr(sub) == before and time.monotonic() < end:
                    select.select([], [], [], 0.01)
                self.until("request vm.exec")
                p.send_signal(ending)
            p.wait(timeout=WAIT_S)
            self.assertEqual(p.returncode, 7 if ending == "exit" else 128 + ending)
            self.assertEqual(termios.tcgetattr(sub), before)
            os.close(main)
            os.close(sub)
            self.assertEqual(self.run_cli("daemon", "stop")[0], 0)
            os.unlink(self.log)

    def test_tty_needs_one(self):
        status, _, err = self.run_cli("exec", "-t", "web", "sh")
        self.assertEqual(status, 125)
        self.assertIn("not a terminal", err)

    def test_lists_fit_a_terminal_and_are_whole_in_a_pipe(self):
        self.assertIn("8 GiB", self.run_cli("ps")[1])
        main, sub = pty.openpty()
        import fcntl
        import struct
        import termios
        fcntl.ioctl(sub, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        p = self.popen("ps", stdin=sub, stdout=sub)
        p.stderr.close()
        p.wait(timeout=WAIT_S)
        lines = os.read(main, 65536).decode().splitlines()
        self.assertEqual(len(lines), 6)
        self.assertLessEqual(max(map(len, lines)), 80)
        os.close(main)
        os.close(sub)


class Run(Case):
    def test_status_and_rm(self):
        self.assertEqual(self.run_cli("run", "--rm", "--", "exit", "42")[0], 42)
        self.assertEqual(len(self.lines("request vm.delete")), 1)
        self.assertEqual(self.lines("lease"), [])

    def test_says_what_it_makes_and_when_it_is_ready(self):
        _, out, err = self.run_cli("run", "--name", "web", "--", "both")
        self.assertEqual(out, "to stdout\n")
        self.assertIn("creating 1 VM: 2 vcpu, 2 GiB memory, 8 GiB disk", err)
        self.assertIn("web ready in 31 ms", err)
        self.assertEqual(self.run_cli("run", "-q", "--", "both")[2], "to stderr\n")

    def test_lease_covers_a_killed_client(self):
        p = self.popen("run", "--rm", "--name", "web", "--", "ready")
        self.assertEqual(p.stdout.readline(), b"ready\n")
        p.kill()
        p.communicate()
        self.until("lease web")

    def test_refusals_come_before_anything_is_made(self):
        for args in (["-d", "--rm"], ["-d", "--", "true"], ["-n", "3"], ["--name", "Bad"], ["--memory", "0"],
                     ["-p", "80"], ["-n", "2", "-p", "80:80", "-d"], ["--vcpu", "many"]):
            status, _, err = self.run_cli("run", *args)
            self.assertEqual(status, 125, args)
            self.assertTrue(err.startswith("banger: "), err)
        self.assertEqual(self.lines(), [])

    def test_a_vm_that_never_came_up_is_kept_and_its_log_named(self):
        env = dict(self.env, FAKE_CONSOLE="/x/console.log")
        status, _, err = self.run_cli("run", "--rm", "--name", "web", "--image", "bad", "--", "true", env=env)
        self.assertEqual(status, 125)
        self.assertIn("did not come up", err)
        self.assertIn("(guest.boot, step hello, op ", err)
        self.assertIn("/x/console.log", err)
        self.assertEqual(self.lines("request vm.delete"), [])

    def test_a_missing_image_is_made_first(self):
        status, _, err = self.run_cli("run", "--rm", "--image", "debian:new", "--", "exit", "0")
        self.assertEqual(status, 0, err)
        self.assertEqual(self.lines("build"), ["build debian:new"])
        self.assertIn("not here yet", err)

    def test_pull_never_makes_nothing(self):
        self.run_cli("run", "--rm", "--pull", "never", "--image", "debian:new", "--", "exit", "0")
        self.assertEqual(self.lines("build"), [])
        status, _, err = self.run_cli("run", "--pull", "maybe")
        self.assertEqual(status, 125)
        self.assertIn("maybe", err)

    def test_without_terminal_or_command_sh_reads_stdin(self):
        self.assertEqual(self.run_cli("run", "--rm", input=b"echo\n")[:2], (0, "echo\n"))

    def test_in_many(self):
        status, out, _ = self.run_cli("run", "--rm", "-n", "4", "--name", "w", "--image", "odd", "--", "both")
        self.assertEqual(status, 2)
        self.assertEqual(sorted(out.splitlines()), ["w-2 | to stdout", "w-4 | to stdout"])

    def test_detached_prints_ids(self):
        status, out, _ = self.run_cli("run", "-d", "-q")
        self.assertEqual((status, len(out)), (0, 13))

    def test_interrupt_cancels_and_second_leaves(self):
        p = self.popen("run", "--image", "slow", "--", "true")
        self.until("slow")
        p.send_signal(signal.SIGINT)
        _, err = p.communicate(timeout=WAIT_S)
        self.assertEqual(p.returncode, 130)
        self.assertIn(b"cancelled and undone", err)
        self.assertEqual(len(self.lines("cancel")), 1)


class Create(Case):
    def test_one_line_per_vm_and_failures_counted(self):
        status, out, err = self.run_cli("vm", "create", "-n", "5", "--name", "w", "--image", "odd")
        self.assertEqual(status, 3)
        self.assertEqual([x.split(" ", 1)[1] for x in out.splitlines()], ["w-2 ready in 31 ms", "w-4 ready in 31 ms"])
        self.assertIn("2 of 5 VMs are up", err)

    def test_failures_are_cut_at_100(self):
        self.assertEqual(self.run_cli("vm", "create", "-n", "300", "--image", "bad")[0], 100)

    def test_json(self):
        _, out, _ = self.run_cli("vm", "create", "-n", "2", "--json")
        self.assertEqual(len(json.loads(out)["targets"]), 2)


class Lifecycle(Case):
    def test_good_ones_proceed_when_others_are_missing(self):
        status, out, err = self.run_cli("vm", "stop", "a", "gone", "b")
        self.assertEqual((status, out), (1, "a\nb\n"))
        self.assertIn('no VM is called "gone"', err)
        self.assertIn("See `banger vm list --all`.", err)

    def test_needs_exactly_one_way_to_say_which(self):
        self.assertEqual(self.run_cli("vm", "delete")[0], 2)
        self.assertEqual(self.run_cli("vm", "delete", "a", "--all")[0], 2)

    def test_lists_page_by_page(self):
        self.assertEqual(len(self.run_cli("ps", "-q")[1].split()), 5)
        self.assertEqual(len(json.loads(self.run_cli("vm", "list", "--json")[1])), 5)
        self.assertEqual(len(self.lines("request vm.list")), 4)

    def test_logs_prints_the_console(self):
        console = self.dir + "/console"
        with open(console, "w") as f:
            f.write("booting\n")
        self.assertEqual(self.run_cli("logs", "web", env=dict(self.env, FAKE_CONSOLE=console)), (0, "booting\n", ""))


class Daemon(Case):
    def test_twenty_commands_at_once_start_one(self):
        ps = [self.popen("ping") for _ in range(20)]
        for p in ps:
            _, err = p.communicate(timeout=WAIT_S)
            self.assertEqual((p.returncode, err), (0, b""))
        self.assertEqual(len(self.lines("start")), 1)

    def test_stale_socket_is_replaced(self):
        self.assertEqual(self.run_cli("ping")[0], 0)
        os.kill(int(self.lines("start")[0].split()[1]), signal.SIGKILL)
        self.assertEqual(self.run_cli("ping")[0], 0)
        self.assertEqual(len(self.lines("start")), 2)

    def test_last_words_of_one_that_dies_are_shown(self):
        status, _, err = self.run_cli("ping", env=dict(self.env, FAKE_DIE="1"))
        self.assertEqual(status, 1)
        self.assertIn("the daemon ended while starting: ", err)
        self.assertIn("start.failed", err)

    def test_an_error_that_kept_it_from_starting_is_the_commands(self):
        words = "store: /x is in use by process 5"
        status, _, err = self.run_cli("ping", env=dict(self.env, FAKE_DIE=f"bangerd: store.locked: {words}\n  A hint.\n"))
        self.assertEqual((status, err.splitlines()[0]), (1, f"banger: {words} (store.locked)"))
        _, _, err = self.run_cli("ping", env=dict(self.env, FAKE_DIE="bangerd: no.code: words\n"))
        self.assertIn("the daemon ended while starting: no.code: words (daemon.down)", err)

    def test_status_and_stop(self):
        self.assertEqual(self.run_cli("daemon", "status")[0], 1)
        self.assertEqual(self.lines(), [], "asking starts nothing")
        self.assertEqual(self.run_cli("daemon", "start")[0], 0)
        self.assertEqual(self.run_cli("daemon", "status")[0], 0)
        self.assertEqual(self.run_cli("daemon", "stop")[0], 0)
        self.assertEqual(self.run_cli("daemon", "status")[0], 1)
        self.assertEqual(self.run_cli("daemon", "stop")[0], 0)

    def test_socket_is_private(self):
        self.run_cli("ping")
        self.assertEqual(os.stat(self.dir + "/run/bangerd.sock").st_mode & 0o777, 0o600)

    def test_the_systems_is_never_started_by_us(self):
        for args, more in (["--system"], {}), ([], {"BANGER_SYSTEM": "1"}):
            status, _, err = self.run_cli(*args, "ping", env=dict(self.env, **more))
            self.assertEqual(status, 1)
            self.assertIn(f"systemctl start bangerd.socket): connect to {self.dir}/run/bangerd.sock", err)
            self.assertEqual(self.lines("start"), [])
        status, _, err = self.run_cli("--session", "ping", env=dict(self.env, BANGER_SYSTEM="1"))
        self.assertEqual(status, 0, err)
        self.assertEqual(self.run_cli("--system", "ping")[0], 0, "it speaks to whoever listens there")

    def test_whose_daemon_is_said_once_and_clearly(self):
        status, _, err = self.run_cli("--system", "--session", "ping")
        self.assertEqual(status, 1)
        self.assertIn("--system and --session exclude each other", err)
        status, _, err = self.run_cli("ping", env=dict(self.env, BANGER_SYSTEM="yes"))
        self.assertEqual(status, 1)
        self.assertIn("BANGER_SYSTEM=yes is neither 1 nor 0", err)

    def test_open_directory_is_refused(self):
        os.mkdir(self.dir + "/run", 0o755)
        status, _, err = self.run_cli("ping")
        self.assertEqual(status, 1)
        self.assertIn("is open to others", err)

    def test_doctor_changes_and_starts_nothing(self):
        status, out, _ = self.run_cli("doctor", "--json")
        rows = json.loads(out)
        self.assertEqual(status, 1 if any(r["verdict"] == "FAIL" for r in rows) else 0)
        self.assertIn("io_uring", [r["check"] for r in rows])
        self.assertTrue(all(r["advice"] for r in rows if r["verdict"] == "FAIL"), rows)
        self.assertEqual(os.listdir(self.dir), [])

    def fleet(self, n, *more, **env):
        status, out, _ = self.run_cli("doctor", "--fleet", str(n), "--json", *more, env={**self.env, **env})
        return status, {r["check"]: r for r in json.loads(out)}

    def test_doctor_says_whether_a_fleet_fits_and_what_stops_it(self):
        _, rows = self.fleet(1, "--vcpu", "1", "--memory", "128M", "--disk", "64M")
        limits = {k: rows[k] for k in ("open files", "files", "threads", "memory", "disk", "records")}
        self.assertTrue(all(r["verdict"] == "PASS" and r["vms"] > 1 for r in limits.values()), rows)
        self.assertEqual(rows["fleet"]["verdict"], "PASS")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.assertEqual(rows["open files"]["vms"], (hard - 256) // 3)
        big = self.fleet(1, "--memory", "512G")[1]
        self.assertEqual((big["memory, all used"]["verdict"], big["memory"]["verdict"]), ("WARN", "PASS"))
        self.assertIn("--memory", big["fleet"]["advice"])

    def test_doctor_names_the_first_limit(self):
        status, rows = self.fleet(9, BANGER_VMS_MAX="3")
        self.assertEqual((status, rows["records"]["verdict"], rows["records"]["vms"]), (1, "FAIL", 3))
        self.assertIn("3 of 9 VMs would fit; the first limit is: records", rows["fleet"]["found"])
        self.assertIn("vms_max", rows["fleet"]["advice"])

    def test_doctor_sees_what_the_configuration_has_wrong(self):
        status, out, _ = self.run_cli("doctor", "--json", env={**self.env, "BANGER_VMS_MAX": "many"})
        row = [r for r in json.loads(out) if r["check"] == "configuration"][0]
        self.assertEqual((status, row["verdict"]), (1, "FAIL"))
        self.assertIn("BANGER_VMS_MAX", row["found"])


class Words(Case):
    def test_did_you_mean(self):
        for words, hint in ((["vm", "rnu"], '"vm run"'), (["dcotor"], '"doctor"'), (["run", "--memroy", "1"], "--memory")):
            status, _, err = self.run_cli(*words)
            self.assertIn("did you mean " + hint, err)
            self.assertEqual(status, 125 if words[0] == "run" else 2)

    def test_did_you_mean_a_value(self):
        for words, hint in ((["run", "--vmm", "qmu"], "qemu"), (["vm", "wait", "--state=runing", "a"], "running"),
                            (["completion", "bahs"], "bash")):
            status, _, err = self.run_cli(*words)
            self.assertIn('is unknown; did you mean "%s"?' % hint, err)
            self.assertEqual(status, 125 if words[0] == "run" else 2)
        self.assertIn("is none of bash, zsh, fish", self.run_cli("completion", "powershell")[2])
        self.assertEqual(self.lines(), [], "nothing was asked of the daemon")

    def test_every_command_has_help(self):
        commands = re.findall(r"^  ([a-z]+(?: [a-z]+)?)  ", self.run_cli("--help")[1].split("Short forms")[0], re.M)
        self.assertGreater(len(commands), 30)
        for c in commands:
            status, out, err = self.run_cli(*c.split(), "--help")
            self.assertEqual((status, err), (0, ""))
            self.assertTrue(out.startswith("Usage: banger " + c))

    def test_full_disk_is_an_error(self):
        with open("/dev/full", "w") as full:
            p = subprocess.run([BANGER, "--help"], stdout=full, stderr=subprocess.PIPE, env=self.env)
        self.assertEqual(p.returncode, 1)
        self.assertIn(b"No space left", p.stderr)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
