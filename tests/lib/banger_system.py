"""System mode on a machine of its own: the test VM with systemd (scripts/test-vm --systemd), in which what `meson install`
put into $BANGER_INSTALLED is at home in /usr/local.  Nothing here may run anywhere else.
"""
import json
import os
import pwd
import select
import signal
import subprocess
import sys
import time
import traceback

from banger_session import Skip, wait_for

PREFIX = "/usr/local"
BANGER = f"{PREFIX}/bin/banger"
HELPERCTL = f"{PREFIX}/libexec/banger/banger-helperctl"
UNITS = "/etc/systemd/system"
STATE, RUNTIME = "/var/lib/banger", "/run/banger"
GROUP = "/banger.slice/banger-vms.service"
GROUPS = f"/sys/fs/cgroup{GROUP}"
DAEMON, HELPER = "bangerd", "bangerd-root"
DEADLINE_S = 120


def run(*argv, check=True, deadline=DEADLINE_S, **more):
    p = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=deadline, **more)
    if check and p.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}: {p.returncode}: {p.stderr}{p.stdout}")
    return p


def banger(*args, check=True, deadline=DEADLINE_S, **more):
    """As root, who may speak to the system's daemon and so does."""
    return run(BANGER, *args, check=check, deadline=deadline, **more)


def as_user(name, *argv, check=True):
    user = pwd.getpwnam(name)
    return run("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *argv, check=check,
               env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "XDG_RUNTIME_DIR": "/nonexistent"})


def ask(operation, **fields):
    """The root helper, as the daemon would."""
    words = [f"{k}={json.dumps(v) if isinstance(v, bool) else v}" for k, v in fields.items()]
    return json.loads(run(HELPERCTL, operation, *words).stdout or "{}")


def vms():
    rows = json.loads(banger("vm", "list", "-a", "--json").stdout)
    return rows["vms"] if isinstance(rows, dict) else rows


def vm(name):
    return json.loads(banger("vm", "show", name, "--json").stdout)


# ---- what is on the host ----

TAKEN = {"host_report.net": ("taps", "nat"), "host_report.block": ("snapshots", "loops"),
         "host_report.jail": ("jails", "slots", "cgroups")}
UID_FIRST, UID_COUNT = 200000, 4096


def taken():
    """What the root helper finds of VMs: {"taps": [...], ...}."""
    return {what: report[what] for question, kinds in TAKEN.items() for report in [ask(question)] for what in kinds}


def vmms():
    """{pid: uid} of the processes whose user is a VM's."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            uid = os.stat(f"/proc/{pid}").st_uid
        except OSError:
            continue
        if UID_FIRST <= uid < UID_FIRST + UID_COUNT:
            found[int(pid)] = uid
    return found


def host_is_empty():
    """No VM, and nothing of one: asked of the daemon, of the helper, and of the kernel."""
    assert vms() == [], vms()
    assert not any(taken().values()), taken()
    assert vmms() == {}, vmms()
    left = [*os.listdir(f"{STATE}/vms"), *os.listdir(f"{STATE}/jails"), *os.listdir(f"{RUNTIME}/vm")]
    left += [d for d in os.listdir(GROUPS) if os.path.isdir(f"{GROUPS}/{d}")] if os.path.isdir(GROUPS) else []
    left += [d for d in os.listdir("/dev/mapper") if d != "control"]
    left += [d for d in os.listdir("/sys/class/net") if d.startswith("bg-")]
    assert left == [], left


# ---- the service manager ----

def systemctl(*args, check=True):
    return run("systemctl", "--no-pager", *args, check=check)


def unit(name, *properties):
    """What it says of a unit: one property, or several."""
    text = systemctl("show", "--property", ",".join(properties), name).stdout
    found = dict(line.split("=", 1) for line in text.splitlines())
    return found[properties[0]] if len(properties) == 1 else [found[p] for p in properties]


def main_pid(name):
    return int(unit(f"{name}.service", "MainPID"))


def log(name):
    return run("journalctl", "--no-pager", "-o", "cat", "-u", f"{name}.service", check=False).stdout


def kill(pid, signo=signal.SIGKILL):
    """Returns once it is gone; of SIGSTOP and the like at once."""
    fd = os.pidfd_open(pid)
    signal.pidfd_send_signal(fd, signo)
    if signo == signal.SIGKILL:
        select.select([fd], [], [])
    os.close(fd)


def is_again(name, before, seconds=30):
    """The service is up with another process; returns that."""
    wait_for(lambda: main_pid(name) not in (0, before) and unit(f"{name}.service", "ActiveState") == "active",
             f"{name} is not up again", seconds)
    return main_pid(name)


# ---- as an administrator installs it ----

HELPER_CONF = """\
[helper]
owner = banger
uid_first = 200000
uid_count = 4096

[bridge br-fc]
address = 10.97.0.1/16

[vmm qemu]
binary = /usr/bin/qemu-system-x86_64
libraries = /usr
"""


def mount_installation():
    """$BANGER_INSTALLED/PREFIX is mounted at /usr/local.  The units name the prefix of the build: made to say this one."""
    built = os.environ["BANGER_PREFIX"]
    run("mount", "--bind", os.environ["BANGER_INSTALLED"] + built, PREFIX)
    folder = f"{PREFIX}/lib/systemd/system"
    for name in os.listdir(folder):
        with open(f"{folder}/{name}", encoding="utf-8") as f:
            text = f.read().replace(built, PREFIX)
        with open(f"{UNITS}/{name}", "w", encoding="utf-8") as f:
            f.write(text)


def put(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def install(conf="", helper_conf=HELPER_CONF):
    mount_installation()
    run("systemd-sysusers", "/usr/local/lib/sysusers.d/banger.conf")
    run("systemd-tmpfiles", "--create", "/usr/local/lib/tmpfiles.d/banger.conf")
    put("/etc/banger/helper.conf", helper_conf)
    put("/etc/banger/banger.conf", f"[paths]\nlibexec = {PREFIX}/libexec/banger\n{conf}")
    systemctl("daemon-reload")
    systemctl("enable", "--now", "bangerd.socket", "bangerd-root.socket")


def install_with_guests(conf="", helper_conf=HELPER_CONF):
    """... and with the state that is on the VM's disk."""
    run("mkdir", "-p", STATE)
    run("mount", "/dev/vda", STATE)
    install(conf, helper_conf)
    run("chown", "-R", "banger:banger", STATE)
    run("sh", "-c", f"chmod 644 {STATE}/kernels/*/*")  # also of those that an older daemon has imported


def drop_in(name, text):
    put(f"{UNITS}/{name}.service.d/test.conf", text)
    systemctl("daemon-reload")


# ---- stories ----

def told(since):
    """What both services said from there on."""
    p = run("journalctl", "--no-pager", "-o", "cat", "--after-cursor", since, "-u", DAEMON, "-u", HELPER, check=False)
    return "\n".join(p.stdout.splitlines()[-25:])


def cursor():
    return run("journalctl", "-n", "0", "--show-cursor").stdout.rpartition("-- cursor: ")[2].strip()


def main(stories, prepare=install, nothing_left=None):
    """Runs them in their order, as TAP; `nothing_left` is asked after each."""
    if os.environ.get("BANGER_TEST_VM") != "1" or os.readlink("/proc/1/exe") != "/usr/lib/systemd/systemd":
        print("1..0 # SKIP only inside scripts/test-vm --systemd")
        sys.exit(77)
    wanted = [t for t in stories if len(sys.argv) < 2 or t.__name__ in sys.argv[1:]]
    print(f"1..{len(wanted)}", flush=True)
    prepare()
    failed = 0
    for i, story in enumerate(wanted, 1):
        since, began = cursor(), time.monotonic()
        try:
            story()
            if nothing_left:
                nothing_left()
            print(f"ok {i} - {story.__name__}\n# {time.monotonic() - began:.1f} s", flush=True)
        except Skip as e:
            print(f"ok {i} - {story.__name__} # SKIP {e}", flush=True)
        except Exception:  # each has its own story to tell
            failed += 1
            print(f"not ok {i} - {story.__name__}", flush=True)
            for line in (traceback.format_exc() + told(since)).splitlines():
                print(f"# {line[:1000]}", flush=True)
    sys.exit(1 if failed else 0)
