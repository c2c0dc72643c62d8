#!/usr/bin/env python3
"""What guests say of themselves: ping, health, ports.

The agent is the real one, running here and not in a guest, or one that lies (tests/lib/hostile_agent.py).
"""
import contextlib
import http.server
import json
import os
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


def prepare(s):
    s.fake_vmm(os.path.join(os.path.dirname(os.path.abspath(banger_session.__file__)), "hostile_agent.py"))
    s.fake_image()


banger_session.main([
    ping_is_a_round_trip_to_the_agent, those_that_answer_are_shown_when_others_do_not,
    a_question_is_cancelled_with_its_client, health_is_what_the_guest_has, health_names_what_is_wrong,
    ports_are_named_with_their_process_and_endpoint, endpoints_are_asked_for_http, more_ports_than_fit_are_counted,
    an_agent_that_lies_about_ports_is_an_error], prepare=prepare)
