#!/usr/bin/env python3
"""What a user may ask for at most: it works up to the bound, and beyond it an error names the field and the bound."""
import json

import banger_session
from banger_session import wait_for
from banger_wire import Wire

ENV_BYTES, LABELS_BYTES = 64 * 1024, 16 * 1024
KIB = 1024


def pairs(option, count, total):
    """`count` options of one KEY=VALUE each, `total` bytes in all."""
    words = []
    for i in range(count):
        size = total // count + (1 if i < total % count else 0)
        words += [option, f"k{i:03}=".ljust(size, "x")]
    return words


FULL = pairs("--env", 256, ENV_BYTES) + pairs("--label", 32, LABELS_BYTES)


def five_hundred_of_the_heaviest_are_listed(s):
    s.run("vm", "create", "-n", "500", "--vmm", "null", "--no-start", "--name", "heavy", *FULL)
    rows = s.vms()
    assert len({v["id"] for v in rows}) == 500, len(rows)
    assert all(len(v["spec"]["env"]) == 256 and len(v["spec"]["labels"]) == 32 for v in rows)
    assert len(s.run("vm", "list", "-a", "-q").stdout.split()) == 500
    assert s.json("vm", "show", "heavy-500")["spec"]["name"] == "heavy-500"
    s.run("vm", "delete", "--all", "-f")


def one_byte_more_is_refused_by_name(s):
    for what, words, most in (("env", pairs("--env", 200, ENV_BYTES + 1), ENV_BYTES),
                              ("labels", pairs("--label", 20, LABELS_BYTES + 1), LABELS_BYTES)):
        p = s.run("vm", "create", "--vmm", "null", *words, check=False)
        assert p.returncode != 0 and f"{what}: {most + 1} bytes in all, at most {most}" in p.stderr, p.stderr
    assert s.vms() == []


def pages_while_vms_come_and_go(s):
    """The VM that a page ended with is deleted before the next one is asked for."""
    s.run("vm", "create", "-n", "30", "--vmm", "null", "--no-start", "--name", "row")
    seen, args = [], {"all": True, "limit": 10}
    with Wire(s.socket()) as w:
        while True:
            page = w.ask(1, "vm.list", args)
            seen += [v["spec"]["name"] for v in page["vms"]]
            if "next" not in page:
                break
            assert len(page["vms"]) == 10
            s.run("vm", "delete", seen[-1])
            s.run("vm", "create", "--vmm", "null", "--no-start")
            args["after"] = page["next"]
        assert w.ask(1, "vm.list", {"after": "no page"}) == "request.bad"
    assert [n for n in seen if n.startswith("row-")] == [f"row-{i}" for i in range(1, 31)], seen
    s.run("vm", "delete", "--all", "-f")


def more_vms_than_a_reply_has_rows(s):
    s.run("vm", "create", "-n", "4096", "--vmm", "null", "--no-start", "--quiet")
    s.run("vm", "create", "-n", "104", "--vmm", "null", "--no-start", "--quiet")
    assert s.info()["vms"] == 4200
    p = s.run("vm", "delete", "--all", "-f", "--json")
    result = json.loads(p.stdout)
    assert len(result["targets"]) == 4096 and result["omitted"] == 104 and result.get("failed", 0) == 0
    assert "and 104 more" in p.stderr, p.stderr
    assert s.info()["vms"] == 0


def every_failure_has_its_code(s):
    refs = [f"nobody-{i:050}" for i in range(4000)]
    p = s.run("vm", "stop", "--json", *refs, check=False)
    result = json.loads(p.stdout)
    assert p.returncode != 0 and result["failed"] == 4000
    assert [t["ref"] for t in result["targets"]] == refs
    assert {t["code"] for t in result["targets"]} == {"vm.not_found"}


def what_is_set_and_when(s):
    """Sizes of what does not run, labels at any time; and the words that name what may not be."""
    guest = s.fake_guest("--label", "a=1", "--label", "b=2")
    spec = lambda: s.json("vm", "show", guest)["spec"]
    p = s.run("vm", "set", guest, "--memory", "1G", check=False)
    assert p.returncode == 1 and "the VM is running: its sizes change while it is stopped" in p.stderr, p.stderr
    assert s.run("vm", "set", guest, "--label", "a=3", "--label", "c=4", "--unlabel", "b", "--unlabel", "x").stdout == "guest\n"
    assert spec()["labels"] == {"a": "3", "c": "4"}, spec()
    assert s.run("vm", "list", "-q", "-l", "c=4").stdout.split() == [s.json("vm", "show", guest)["id"]]
    s.run("vm", "stop", "--force", guest)
    s.run("vm", "set", guest, "--vcpu", "3", "--memory", "1G", "--disk", "20G")
    s.kill_daemon()
    now = spec()
    assert (now["vcpu"], now["memory_bytes"], now["disk_bytes"]) == (3, 1 << 30, 20 << 30), now
    for args, says in ((["--disk", "10G"], "it has 20480 MiB, and only grows"), (["--disk", "5000G"], "at most 4096 GiB"),
                       (["--memory", "1M"], "--memory"), (["--vcpu", "0"], "--vcpu"), ([], "set what?")):
        p = s.run("vm", "set", guest, *args, check=False)
        assert p.returncode != 0 and says in p.stderr, (args, p.stderr)
    p = s.run("vm", "set", "--memory", "1G", check=False)
    assert p.returncode == 2 and "which VMs?" in p.stderr, p.stderr
    p = s.run("vm", "set", guest, *pairs("--label", 31, 1000), check=False)
    assert p.returncode == 1 and "labels: 33, at most 32" in p.stderr, p.stderr
    assert spec() == now
    p = s.run("vm", "set", "nobody", guest, "--vcpu", "2", check=False)
    assert p.returncode == 1 and "nobody" in p.stderr and p.stdout == "guest\n" and spec()["vcpu"] == 2, p
    s.run("vm", "start", guest)
    s.run("vm", "delete", "-f", guest)


def commands_as_long_as_a_frame(s):
    guest = s.fake_guest("--env", "WHO=vm", "--env", "BOTH=vm")
    word = "x" * (100 * KIB)
    p = s.run("vm", "exec", guest, "--", "/bin/echo", *[word] * 9)
    assert p.stdout == " ".join([word] * 9) + "\n", len(p.stdout)
    many = [str(i) for i in range(30000)]
    assert s.run("vm", "exec", guest, "--", "/bin/echo", *many).stdout.split() == many
    p = s.run("vm", "exec", guest, "--", "/bin/true", *[word] * 11, check=False)
    assert p.returncode == 125 and "the command has" in p.stderr and "at most" in p.stderr, p.stderr
    p = s.run("vm", "exec", guest, "--", "/bin/true", *["x"] * 32768, check=False)
    assert p.returncode == 125 and "32769 words, at most 32768" in p.stderr, p.stderr
    # The daemon adds the VM's environment: only it can see that this is too much.
    s.run("vm", "delete", "-f", guest)
    s.fake_guest(*FULL)
    p = s.run("vm", "exec", guest, "--", "/bin/true", *[word] * 10, check=False)
    assert p.returncode == 125 and "argv and env: " in p.stderr and "1048576" in p.stderr, p.stderr
    s.run("vm", "delete", "-f", guest)


def commands_have_the_vms_environment(s):
    guest = s.fake_guest("--env", "WHO=vm", "--env", "BOTH=vm")
    p = s.run("vm", "exec", "--env", "BOTH=exec", guest, "--", "/bin/sh", "-c", "echo $WHO $BOTH")
    assert p.stdout == "vm exec\n", p.stdout
    s.run("vm", "delete", "-f", guest)
    wait_for(lambda: s.processes() == [], "the agent is still there")


banger_session.main([five_hundred_of_the_heaviest_are_listed, one_byte_more_is_refused_by_name,
                     pages_while_vms_come_and_go,
                     more_vms_than_a_reply_has_rows, every_failure_has_its_code, what_is_set_and_when,
                     commands_as_long_as_a_frame,
                     commands_have_the_vms_environment],
                    prepare=banger_session.Session.fake_vmm)
