"""Who may include whom: the drawing of docs/architecture.md as a table, and what is banned where."""

# A room is a folder (longest prefix wins); its row says which rooms' headers it may include besides
# its own.  None: free.
ROOMS = {
    "src/base/":   [],
    "src/io/":     ["src/base/"],
    "src/proto/":  ["src/base/"],
    "src/conf/":   ["src/base/", "src/proto/"],
    "src/tar/":    ["src/base/"],
    "src/store/":  ["src/base/"],
    "src/vmm/":    ["src/base/"],
    "src/image/":  ["src/base/"],
    "src/net/":    ["src/base/"],
    "src/actors/": ["src/base/", "src/io/", "src/proto/", "src/conf/", "src/store/", "src/vmm/", "src/image/"],
    "src/helper/": ["src/base/", "src/proto/"],
    # The daemon's main and its object graph: the only files that know every room.
    "src/":        ["src/base/", "src/io/", "src/proto/", "src/conf/", "src/store/", "src/vmm/", "src/image/",
                    "src/actors/"],
    "cli/":        ["src/base/", "src/proto/", "src/conf/", "src/tar/"],
    "guest/":      ["src/base/", "src/proto/", "src/tar/"],
    # bench is a client, of the helper too; it also starts VMs with the daemon's own command line.
    "bench/":      ["src/base/", "src/proto/", "src/vmm/", "src/helper/"],
    # docs/man writes the man pages from the tables of the command line.
    "docs/":       ["src/base/", "src/proto/", "src/conf/", "cli/"],
    "tests/":      None,
}

# A foreign library's header lives in one room (tests may include any).
FOREIGN = {
    r"liburing(/.*)?\.h":         ["src/io/", "bench/"],  # bench: the yardstick for round trips
    r"msgpack(/.*)?\.h":          ["src/proto/"],
    r"lmdb\.h":                   ["src/store/"],
    r"(jansson|http_parser)\.h": ["src/vmm/"],
    r"ini\.h":                   ["src/conf/", "src/helper/"],
    r"(archive|archive_entry)\.h": ["src/image/"],
    r"(ext2fs|et|e2p)/.*\.h":     ["src/image/", "src/helper/"],
    r"(zlib|zstd|lzma)\.h":       ["src/image/"],
    r"(openssl|gcrypt|sodium)(/.*)?\.h": ["src/image/"],
    r"seccomp\.h|cap-ng\.h|libdevmapper\.h": ["src/helper/", "src/net/", "guest/"],
    r"slirp/libslirp\.h":         ["src/net/"],
    r"libmnl/.*\.h|systemd/sd-bus\.h": ["src/helper/"],
    r"criterion/.*\.h":           [],
    r"sanitizer/.*\.h":           [],
}

# Kernel interfaces beyond libc: not where code is meant to be pure.
KERNEL = r"(linux|asm)/.*\.h"
KERNEL_BANNED = ["src/base/", "src/proto/", "src/tar/", "src/store/"]

LIBC = set("""
aio.h alloca.h arpa/inet.h assert.h byteswap.h cpuid.h ctype.h dirent.h dlfcn.h elf.h endian.h errno.h
execinfo.h fcntl.h fnmatch.h fts.h ftw.h getopt.h glob.h grp.h ifaddrs.h inttypes.h langinfo.h libgen.h
limits.h link.h locale.h malloc.h math.h mntent.h net/if.h net/if_arp.h net/route.h
netdb.h netinet/in.h netinet/ip.h netinet/ip_icmp.h netinet/tcp.h netinet/udp.h
netpacket/packet.h poll.h pthread.h pty.h pwd.h regex.h sched.h search.h semaphore.h setjmp.h
signal.h spawn.h stdalign.h stdarg.h stdatomic.h stdbool.h stddef.h stdint.h stdio.h stdlib.h
stdnoreturn.h string.h strings.h syscall.h sysexits.h syslog.h termios.h threads.h time.h ucontext.h
uchar.h unistd.h utime.h utmp.h wchar.h wctype.h x86intrin.h
""".split())
LIBC_FOLDERS = r"sys/.*\.h"

# Rooms that return errors and do not speak (style: "Logging").
SILENT = ["src/base/", "src/io/", "src/proto/", "src/conf/", "src/tar/", "src/store/", "src/vmm/", "src/image/"]
SPEAKING = r"\b(LOG_(?:ERR|WARN|NOTICE|INFO|DEBUG|AT)|log_event|v?printf|v?fprintf|perror|syslog|puts|fputs|putchar)\s*\("

# Calls that are banned, and what to use.  In tests only those of BANNED_IN_TESTS are.
BANNED = {
    "strcpy": "snprintf or memcpy with a checked length",
    "stpcpy": "snprintf or memcpy with a checked length",
    "strcat": "snprintf or struct buf",
    "strncat": "snprintf or struct buf",
    "sprintf": "snprintf",
    "vsprintf": "vsnprintf",
    "gets": "fgets",
    "atoi": "strtoul with its error and end checked",
    "atol": "strtoul with its error and end checked",
    "atoll": "strtoull with its error and end checked",
    "atof": "strtod with its error and end checked",
    "strtok": "strsep, strcspn or strtok_r",
    "strerror": "err_sys_text: strerror is not thread-safe",
    "system": "posix_spawn with an argv",
    "popen": "posix_spawn with an argv",
    "sleep": "an event and a deadline",
    "usleep": "an event and a deadline",
    "nanosleep": "an event and a deadline",
    "clock_nanosleep": "an event and a deadline",
    "signal": "sigaction or signalfd",  # but for SIG_IGN and SIG_DFL, which have no handler to go wrong
    "assert": "ASSERT, which is always on",
    "tmpnam": "mkostemp or O_TMPFILE",
    "mktemp": "mkostemp or O_TMPFILE",
    "mkstemp": "mkostemp with O_CLOEXEC",
    "dup": "fcntl(F_DUPFD_CLOEXEC)",
    "pipe": "pipe2 with O_CLOEXEC",
    "accept": "accept4 with SOCK_CLOEXEC",
    "epoll_create": "epoll_create1 with EPOLL_CLOEXEC",
    "inotify_init": "inotify_init1 with IN_CLOEXEC",
    "creat": "open with O_CLOEXEC",
}
BANNED_IN_TESTS = ["strcpy", "sprintf", "vsprintf", "gets", "strtok", "system", "popen",
                   "sleep", "usleep", "nanosleep", "clock_nanosleep", "tmpnam", "mktemp"]

# Calls that make a descriptor, and the word (a pattern) without which a child would inherit it.
CLOEXEC = {
    "open": "O_CLOEXEC",
    "open64": "O_CLOEXEC",
    "openat": "O_CLOEXEC",
    "socket": "SOCK_CLOEXEC",
    "socketpair": "SOCK_CLOEXEC",
    "accept4": "SOCK_CLOEXEC",
    "pipe2": "O_CLOEXEC",
    "dup3": "O_CLOEXEC",
    "eventfd": "EFD_CLOEXEC",
    "timerfd_create": "TFD_CLOEXEC",
    "signalfd": "SFD_CLOEXEC",
    "memfd_create": "MFD_CLOEXEC",
    "epoll_create1": "EPOLL_CLOEXEC",
    "inotify_init1": "IN_CLOEXEC",
    "mkostemp": "O_CLOEXEC",
    "fopen": r',\s*"[rwa+b]+e"',
}

LINES_MAX = 800


def room_of(path):
    """The longest room that path lies in, or None."""
    fits = [r for r in ROOMS if path.startswith(r)]
    return max(fits, key=len) if fits else None
