#!/usr/bin/env python3
"""What guests say of themselves, and what they use: ping, health, ports, stats.

The agent is the real one, running here and not in a guest, or one that lies (tests/lib/hostile_agent.py).
"""
import contextlib
import http.server
import json
import os
import re
import signal
import socket
import threading

import banger_session
from banger_session import wait_for

WAIT_S = 60


def guest(s, name="guest", *more):
    if name not in [v["spec"]["name"] for v in s.vms() if v["state"] == "running"]:
        s.fake_guest(*more, name=name)
    return name


def ping_is_a_round_trip_to_the_agent(s):
    for name in ("guest", "other"):
        guest(s, name)
    rows = s.json("vm", "ping", "other", "guest")
    assert [r["name"] for r in rows] == ["other", "guest"], rows
    assert all(0 < r["round_trip_us"] < 5_000_000 and r["agent"] for r in rows), rows
    assert s.run("vm", "ping", "--all", "-q").stdout.split() == ["guest", "other"]


def those_that_answer_are_shown_when_others_do_not(s):
    guest(s)
    guest(s, "deaf")
    s.run("vm", "create", "--vmm", "null", "--name", "null")
    s.run("vm", "create", "--image", "none", "--kernel", "none", "--no-start", "--name", "off")
    p = s.run("vm", "ping", "null", "deaf", "off", "nobody", "guest", "--timeout", "300ms", check=False)
    assert p.returncode == 1 and p.stdout.splitlines()[1].split()[1] == "guest", p
    told = p.stderr
    for words in ("guest.no_agent", "deaf: the guest's agent gave no answer (timeout,", "vm off is created", "nobody"):
        assert words in told, (words, told)
    assert told.index("null") < told.index("deaf") < told.index("off") < told.index("nobody"), told
    s.run("vm", "delete", "deaf", "null", "off")


def a_question_is_cancelled_with_its_client(s):
    guest(s, "deaf")
    p = s.start("vm", "health", "deaf", "--timeout", "1h")
    wait_for(lambda: "vm.health" in s.run("op", "list").stdout, "it asks")
    p.send_signal(signal.SIGINT)
    assert p.communicate(timeout=WAIT_S) and p.returncode == 130
    wait_for(lambda: "vm.health" not in s.run("op", "list").stdout, "nobody asks")
    s.run("vm", "delete", "-f", "deaf")


def health_is_what_the_guest_has(s):
    guest(s)
    p = s.run("vm", "health", "guest", "--json", check=False)
    row = json.loads(p.stdout)[0]
    fs = os.statvfs("/")
    assert row["guest"]["disk_bytes"] == fs.f_blocks * fs.f_frsize, row
    with open("/proc/meminfo", encoding="ascii") as f:
        total = int(f.readline().split()[1]) * 1024
    assert row["guest"]["memory_bytes"] == total and 0 < row["guest"]["memory_available_bytes"] < total, row
    assert row["guest"]["uptime_ms"] > 0 and row["boot_id"] and row["guest"]["processes"] > 1, row
    assert (p.returncode == 0) == (row["state"] == "healthy"), p


def health_names_what_is_wrong(s):
    guest(s, "sick")
    p = s.run("vm", "health", "sick", check=False)
    assert p.returncode == 1 and "degraded" in p.stdout, p
    assert "disk: cannot be written; memory: 3% is available" in p.stdout, p.stdout
    s.run("vm", "delete", "-f", "sick")


def ports_are_named_with_their_process_and_endpoint(s):
    with socket.create_server(("0.0.0.0", 0)) as outside, socket.create_server(("127.0.0.1", 0)) as inside, \
            socket.create_server(("::", 0), family=socket.AF_INET6) as six, \
            socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket() as free:
        udp.bind(("127.0.0.1", 0))
        free.bind(("127.0.0.1", 0))
        there = [x.getsockname()[1] for x in (outside, inside, six, udp)]
        s.fake_guest("-p", f"18080:{there[0]}", "-p", f"18081:{there[1]}", name="listens")
        rows = [r for r in s.json("vm", "ports", "listens") if r["port"] in there]
        assert all((r["pid"], r["vm"]) == (os.getpid(), "listens") and r["process"] for r in rows), rows
        found = {(r["proto"], r["address"], r["port"]): r["endpoint"] for r in rows}
        assert found == {("tcp", "0.0.0.0", there[0]): "127.0.0.1:18080",
                         ("tcp", "127.0.0.1", there[1]): "",  # its loopback gets nothing from outside
                         ("tcp", "::", there[2]): "", ("udp", "127.0.0.1", there[3]): ""}, found
        line = s.run("vm", "ports", "listens", "--format", "{{.Vm}} {{.Port}} {{.Endpoint}}").stdout
        assert f"listens {there[0]} 127.0.0.1:18080\n" in line, line
    s.run("vm", "delete", "-f", "listens")


def endpoints_are_asked_for_http(s):
    """The fake guest's ports are this host's; the endpoints are servers of this test: one that speaks HTTP, one that
    speaks something else, one that says nothing."""
    class Teapot(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(418)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Teapot) as web, socket.create_server(("127.0.0.1", 0)) as smtp, \
            socket.create_server(("127.0.0.1", 0)) as silent, contextlib.ExitStack() as stack:
        listening = [stack.enter_context(socket.create_server(("0.0.0.0", 0))).getsockname()[1] for _ in range(4)]
        closed = socket.create_server(("127.0.0.1", 0))
        hosts = [x.getsockname()[1] for x in (web.socket, smtp, silent, closed)]
        closed.close()
        threading.Thread(target=web.handle_request, daemon=True).start()
        threading.Thread(target=lambda: smtp.accept()[0].sendall(b"220 here is no web\r\n" * 9), daemon=True).start()
        publish = [w for h, g in zip(hosts, listening) for w in ("-p", f"{h}:{g}")]
        s.fake_guest(*publish, name="webs")
        rows = {r["port"]: r["http_status"] for r in s.json("vm", "ports", "webs") if r["endpoint"]}
        assert rows == dict(zip(listening, (418, 0, 0, 0))), rows
        silent.setblocking(False)
        silent.accept()[0].close()  # it was asked,
        s.run("vm", "ports", "webs", "--no-probe")
        try:
            silent.accept()
            raise AssertionError("it was asked again")
        except BlockingIOError:
            pass  # and not with --no-probe
    s.run("vm", "delete", "-f", "webs")


def more_ports_than_fit_are_counted(s):
    many = [socket.create_server(("127.0.0.1", 0)) for _ in range(300)]
    try:
        guest(s)
        p = s.run("vm", "ports", "guest", "--json")
        assert len(json.loads(p.stdout)) == 256 and "more ports are not shown" in p.stderr, p.stderr
    finally:
        for x in many:
            x.close()


def an_agent_that_lies_about_ports_is_an_error(s):
    guest(s, "liar")
    p = s.run("vm", "ports", "liar", check=False)
    assert p.returncode == 1 and "port" in p.stderr, p
    s.run("vm", "delete", "-f", "liar")


def stats_are_of_the_process_and_of_the_guest(s):
    guest(s)
    row = s.json("vm", "stats", "guest", "--no-stream", "--interval", "100ms")[0]
    view = s.json("vm", "show", "guest")
    assert (row["name"], row["pid"], row["id"]) == ("guest", view["pid"], view["id"]), row
    for ours, theirs in (("rss_bytes", "Rss"), ("pss_bytes", "Pss")):
        kib = banger_session.memory_kib(view["pid"], theirs)
        assert abs(row[ours] / 1024 - kib) < kib / 4, (row, theirs, kib)
    with open(f"/proc/{view['pid']}/stat", encoding="ascii") as f:
        ticks = sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
    hz = os.sysconf("SC_CLK_TCK")
    assert 0 < row["cpu_us"] <= (ticks + 2) * 1_000_000 // hz, (row, ticks)
    assert row["cpu_milli"] < 1000 and row["disk_used_bytes"] > 0, row
    assert row["guest_known"] and row["guest"]["memory_bytes"] > 0 and not row["guest_error"], row
    assert row["balloon_known"] and not row["balloon_error"], row
    assert row["balloon"] == {"memory_bytes": 64 << 20, "free_bytes": 32 << 20, "available_bytes": 48 << 20, "cache_bytes": 8 << 20,
                              "swapped_in_bytes": 0, "swapped_out_bytes": 8192, "major_faults": 313, "minor_faults": 54321}, row


def stats_come_without_the_guest(s):
    guest(s, "deaf")
    s.run("vm", "create", "--vmm", "null", "--name", "null")
    rows = s.json("vm", "stats", "deaf", "null", "--no-stream", "--interval", "100ms", "--timeout", "200ms")
    assert [r["guest_known"] for r in rows] == [False, False], rows
    assert "no answer" in rows[0]["guest_error"] and "no agent" in rows[1]["guest_error"], rows
    assert rows[0]["pss_bytes"] > 0 and rows[1]["pid"] == 0, rows
    assert rows[0]["balloon"]["cache_bytes"] == 8 << 20 and "no balloon" in rows[1]["balloon_error"] and "balloon" not in rows[1], rows
    table = s.run("vm", "stats", "deaf", "null", "--no-stream", "--interval", "100ms", "--timeout", "200ms").stdout
    assert re.search(r"(?m)^deaf .* 16 MiB / .* 8 MiB +8 KiB +313 ", table), table
    assert re.search(r"(?m)^null .* - / .* - +- +- ", table), table
    s.run("vm", "delete", "-f", "deaf", "null")


def stats_of_all_have_a_total(s):
    for name in ("guest", "other"):
        guest(s, name)
    lines = s.run("stats", "--no-stream", "--interval", "100ms").stdout.splitlines()
    assert [l.split()[0] for l in lines] == ["NAME", "guest", "other", "TOTAL"], lines
    p = s.run("vm", "stats", "--no-stream", "--interval", "100ms", "--format", "{{.Name}} {{.Pss}} {{.guest.rx_bytes}}")
    assert [l.split()[0] for l in p.stdout.splitlines()] == ["guest", "other"], p.stdout


def stats_stream_until_their_vm_has_gone(s):
    guest(s)
    s.run("vm", "create", "--image", "none", "--kernel", "none", "--name", "brief")
    p = s.start("vm", "stats", "--json", "--interval", "100ms", "guest", "brief")
    seen = [json.loads(p.stdout.readline())["name"] for _ in range(6)]
    assert seen == ["guest", "brief"] * 3, seen
    s.run("vm", "delete", "-f", "brief")
    first = p.stderr.readline()
    assert "brief" in first and "vm.not_found" in first or "vm.state" in first, first
    p.send_signal(signal.SIGINT)
    p.communicate(timeout=WAIT_S)
    assert p.returncode == 130
    p = s.start("vm", "stats", "--json", "--interval", "100ms", "nobody")
    out, err = p.communicate(timeout=WAIT_S)
    assert (p.returncode, out) == (1, "") and "vm.not_found" in err, (p.returncode, out, err)
    p = s.start("vm", "stats", "--interval", "100ms", "guest")
    p.stdout.readline()
    p.stdout.close()  # who does not read any more is not written to for ever
    assert p.wait(timeout=WAIT_S) in (0, 1)
    p.stderr.close()


def top_needs_a_terminal(s):
    p = s.run("top", check=False)
    assert p.returncode == 2 and "vm stats" in p.stderr, p


def stats_tell_once_that_the_daemon_has_gone(s):
    for name in ("guest", "other"):
        guest(s, name)
    p = s.start("vm", "stats", "--json", "--interval", "100ms")
    p.stdout.readline()
    s.kill_daemon()
    out, err = p.communicate(timeout=WAIT_S)
    assert p.returncode == 1 and err.count("daemon.down") == 1, (p.returncode, err)


def prepare(s):
    s.fake_vmm(os.path.join(os.path.dirname(os.path.abspath(banger_session.__file__)), "hostile_agent.py"))
    s.fake_image()


banger_session.main([
    ping_is_a_round_trip_to_the_agent, those_that_answer_are_shown_when_others_do_not,
    a_question_is_cancelled_with_its_client, health_is_what_the_guest_has, health_names_what_is_wrong,
    ports_are_named_with_their_process_and_endpoint, endpoints_are_asked_for_http, more_ports_than_fit_are_counted,
    an_agent_that_lies_about_ports_is_an_error, stats_are_of_the_process_and_of_the_guest, stats_come_without_the_guest,
    stats_of_all_have_a_total, stats_stream_until_their_vm_has_gone, top_needs_a_terminal,
    stats_tell_once_that_the_daemon_has_gone], prepare=prepare)
