#include "command.h"

#include <stdio.h>
#include <string.h>

#include "base/suggest.h"

enum {
	NAME_BYTES = 64, /* of a command's name as typed */
};

#define TARGETS (BIT(OPT_LABEL) | BIT(OPT_ALL) | BIT(OPT_TIMEOUT))
#define MACHINE                                                                                    \
	(BIT(OPT_NAME) | BIT(OPT_IMAGE) | BIT(OPT_KERNEL) | BIT(OPT_PULL) | BIT(OPT_VMM) |         \
	 BIT(OPT_VCPU) | BIT(OPT_MEMORY) | BIT(OPT_DISK) | BIT(OPT_DISK_RATE) |                    \
	 BIT(OPT_DISK_IOPS) | BIT(OPT_NET_RATE) | BIT(OPT_LABEL) | BIT(OPT_ENV) |                  \
	 BIT(OPT_PUBLISH) | BIT(OPT_NAT) | BIT(OPT_COUNT) | BIT(OPT_TIMEOUT))
#define LIST_DOC                                                                                   \
	"A field of --format is the head of a column in any case, or a field of --json by its "    \
	"path, as {{.spec.memory_bytes}}. \\t and \\n are a tab and a new line; \"table\" before " \
	"it "                                                                                      \
	"makes a table of the fields; \"json\" alone is an object a line."
#define TARGETS_ARGS "REF... | -l KEY=VALUE | --all"
#define STATS_ARGS   "[REF...]"

/* clang-format off */
const struct command commands[] = {
	{ .name = "vm run", .args = "[-- CMD [ARG...]]", .run = run_run, .tail = true, .guest = true,
	  .options = MACHINE | BIT(OPT_RM) | BIT(OPT_DETACH) | BIT(OPT_INTERACTIVE) | BIT(OPT_TTY) | BIT(OPT_NO_STDIN) | BIT(OPT_CWD),
	  .summary = "create a VM and run a command or a shell in it",
	  .doc = "The exit status is the command's. Without a command: a shell with a terminal, or, where standard input is none, sh reading it. "
		 "The VM stays unless --rm is given; a VM that never came up is kept and its log named. "
		 "With -n N the command runs in N VMs at once, each line of output begins with the VM's name, and the exit status is the number of VMs that failed, at most 100.",
	  .examples = "banger vm run --rm -- sh -c 'exit 42'\nbanger run -d --name web -p 8080:80\nbanger run --rm -n 8 -- make test" },
	{ .name = "vm create", .args = "", .run = create_run,
	  .options = MACHINE | BIT(OPT_NO_START),
	  .summary = "create VMs, and start them unless told not to",
	  .doc = "One line per VM on standard output. The exit status is the number of VMs that failed, at most 100.",
	  .examples = "banger vm create --name db --memory 4G --label tier=db\nbanger vm create -n 100 --image probe" },
	{ .name = "vm start", .args = TARGETS_ARGS, .run = lifecycle_run, .max_args = TARGETS_MAX,
	  .options = TARGETS, .summary = "start stopped VMs", .examples = "banger vm start web-1 web-2" },
	{ .name = "vm stop", .args = TARGETS_ARGS, .run = lifecycle_run, .max_args = TARGETS_MAX,
	  .options = TARGETS | BIT(OPT_FORCE), .summary = "power VMs off; kill those that do not obey in time",
	  .doc = "--timeout says how long a guest may take to power off.", .examples = "banger vm stop -l tier=web --timeout 30s" },
	{ .name = "vm restart", .args = TARGETS_ARGS, .run = lifecycle_run, .max_args = TARGETS_MAX,
	  .options = TARGETS | BIT(OPT_FORCE), .summary = "stop VMs, then start them" },
	{ .name = "vm kill", .args = TARGETS_ARGS, .run = lifecycle_run, .max_args = TARGETS_MAX,
	  .options = TARGETS | BIT(OPT_SIGNAL), .summary = "signal the processes that run VMs", .examples = "banger vm kill -s TERM web-1" },
	{ .name = "vm delete", .args = TARGETS_ARGS, .run = lifecycle_run, .max_args = TARGETS_MAX,
	  .options = TARGETS | BIT(OPT_FORCE), .summary = "delete VMs with every trace of them",
	  .doc = "A VM that runs is stopped first, or killed with --force.", .examples = "banger vm delete -f web-1\nbanger vm delete --all -f" },
	{ .name = "vm prune", .args = "", .run = prune_run, .options = BIT(OPT_LABEL) | BIT(OPT_FORCE),
	  .summary = "delete all VMs that do not run",
	  .doc = "Lists them and asks, on a terminal; with --force it neither lists nor asks. A VM that starts meanwhile is kept.",
	  .examples = "banger vm prune\nbanger vm prune -f -l job=nightly" },
	{ .name = "vm wait", .args = TARGETS_ARGS, .run = lifecycle_run, .max_args = TARGETS_MAX,
	  .options = TARGETS | BIT(OPT_STATE), .summary = "wait until VMs are in a state", .examples = "banger vm wait --state running --timeout 30s web-1" },
	{ .name = "vm list", .args = "", .run = list_run, .options = BIT(OPT_ALL) | BIT(OPT_LABEL) | BIT(OPT_FORMAT),
	  .summary = "list VMs that run, or with --all every one",
	  .doc = LIST_DOC,
	  .examples = "banger ps -a\nbanger vm list -q -l tier=web\nbanger ps --format '{{.Name}} {{.spec.labels.tier}}'\nbanger ps --format 'table {{.Name}}\\t{{.pid}}'" },
	{ .name = "vm show", .args = "REF", .run = show_run, .min_args = 1, .max_args = 1,
	  .summary = "show one VM as JSON" },
	{ .name = "vm exec", .args = "[REF] [--] CMD [ARG...]", .run = exec_run, .max_args = 1, .rest = true, .tail = true, .guest = true,
	  .options = BIT(OPT_INTERACTIVE) | BIT(OPT_TTY) | BIT(OPT_NO_STDIN) | BIT(OPT_ENV) | BIT(OPT_CWD) | BIT(OPT_ALL) | BIT(OPT_LABEL) | BIT(OPT_NO_PREFIX),
	  .summary = "run a command in a VM",
	  .doc = "The exit status is the command's. Standard input is passed when it is no terminal, or with -i. "
		 "Without -t, signals that banger receives are passed to the command; the third of SIGINT and SIGTERM leaves. "
		 "With --all or -l instead of REF the command runs in every VM that matches and runs, each line of output begins with the VM's name, and the exit status is the number of VMs that failed, at most 100. "
		 "With --json each line is an object of vm, event (stdout or stderr) and text, and at the end one of vm, event (exit), status, code and message for each VM.",
	  .examples = "banger vm exec web-1 -- uname -a\nbanger exec -it web-1 bash\ntar c . | banger exec web-1 -w /srv -- tar x\nbanger exec -l tier=web -- uptime" },
	{ .name = "vm shell", .args = "REF", .run = shell_run, .min_args = 1, .max_args = 1, .guest = true,
	  .options = BIT(OPT_ENV) | BIT(OPT_CWD), .summary = "open a login shell in a VM",
	  .doc = "Where standard input is no terminal, sh reads it." },
	{ .name = "vm set", .args = "REF...", .run = set_run, .max_args = TARGETS_MAX,
	  .options = BIT(OPT_ALL) | BIT(OPT_VCPU) | BIT(OPT_MEMORY) | BIT(OPT_DISK) | BIT(OPT_DISK_RATE) | BIT(OPT_DISK_IOPS) | BIT(OPT_NET_RATE) | BIT(OPT_UNLIMIT) | BIT(OPT_LABEL) | BIT(OPT_UNLABEL) | BIT(OPT_NAT) | BIT(OPT_NO_NAT),
	  .summary = "change what VMs are to have",
	  .doc = "Processors, memory and disk change while a VM is stopped, and count from its next start; labels at any time, and so, in system mode, whether it has a way out (--nat, --no-nat), which a VM that runs has or loses at once. "
		 "What its disk and its network may move (--disk-rate, --disk-iops, --net-rate, --unlimit) changes at any time, of a VM that runs at once; where its VMM refuses that, it is recorded all the same, and holds from the next start. "
		 "A disk only grows, and the guest's root file system grows with it at the next start. --label replaces a label of the same key.",
	  .examples = "banger vm set web-1 --memory 4G --vcpu 4\nbanger vm set web-1 --disk 20G\nbanger vm set --label tier=web --unlabel draft web-1 web-2\nbanger vm set --no-nat web-1\nbanger vm set --disk-rate 50M --unlimit disk-iops web-1" },
	{ .name = "vm console", .args = "REF", .run = console_run, .min_args = 1, .max_args = 1,
	  .options = BIT(OPT_READ_ONLY) | BIT(OPT_ESCAPE) | BIT(OPT_TAIL),
	  .summary = "sit in front of a VM's serial console",
	  .doc = "It begins with the last 20 lines of what the guest has printed, unless --tail says otherwise, and shows what it prints from then on, while it boots too and where it has no agent; keys go to the guest, Ctrl-C among them. "
		 "On a terminal, ~. at the beginning of a line leaves and ~? says so; otherwise input is passed as it is, and after its end the output goes on until the VM ends. "
		 "As many as like to can watch, with --read-only, and none of them can hold the guest up; one at a time can type. "
		 "A serial line does not tell the guest how large the terminal is: `stty rows R cols C` there does, and vm shell needs neither.",
	  .examples = "banger vm console web-1\nbanger vm console --read-only --tail all web-1" },
	{ .name = "vm cp", .args = "SRC... DST", .run = copy_run, .min_args = 2, .max_args = TARGETS_MAX,
	  .options = BIT(OPT_ARCHIVE) | BIT(OPT_FOLLOW_LINK) | BIT(OPT_NO_OWNER),
	  .summary = "copy files and trees into a VM, or out of one",
	  .doc = "What is in a VM is written REF:PATH; such a path begins at the VM's root, with or without a slash. "
		 "Where DST is a directory, SRC goes into it under its own name, else it becomes DST; SRC/. stands for what is in SRC. "
		 "With - for SRC a tar archive is read from standard input and unpacked in the directory DST, with - for DST one is written to standard output. "
		 "Modes, times, symbolic and hard links, holes, user attributes and (as numbers) owners are kept, as cp -a does; owners only where you may set them. "
		 "Sockets are left out, and devices of a VM, which is told. The VM needs no tar. The first error ends the copy; what was whole by then stays.",
	  .examples = "banger vm cp ./src web-1:/srv\nbanger vm cp web-1:/var/log/syslog .\nbanger vm cp a.conf b.conf web-1:/etc/app\nbanger vm cp web-1:/etc - | tar t\ngit archive HEAD | banger vm cp - web-1:/srv/app" },
	{ .name = "vm ping", .args = TARGETS_ARGS, .run = vm_ping_run, .max_args = TARGETS_MAX,
	  .options = TARGETS | BIT(OPT_FORMAT), .summary = "see how long guests take to answer",
	  .doc = "The time is that from the daemon to the guest's agent and back. Exit status 1 where one does not answer within --timeout (5s).",
	  .examples = "banger vm ping web-1\nbanger vm ping --all --timeout 1s" },
	{ .name = "vm health", .args = TARGETS_ARGS, .run = health_run, .max_args = TARGETS_MAX,
	  .options = TARGETS | BIT(OPT_FORMAT), .summary = "ask guests how they are",
	  .doc = "A guest is degraded when less than 5% of its memory or of its root disk is free, or when the disk cannot be written. Exit status 1 where one is degraded or does not answer within --timeout (5s).",
	  .examples = "banger vm health --all\nbanger vm health web-1 --json" },
	{ .name = "vm ports", .args = TARGETS_ARGS, .run = ports_run, .max_args = TARGETS_MAX,
	  .options = TARGETS | BIT(OPT_FORMAT) | BIT(OPT_NO_PROBE), .summary = "list the ports that guests listen on",
	  .doc = "ENDPOINT is the address of this host that reaches the port, where it is published with -p. HTTP is the status that a GET of / got there within a second, where it speaks HTTP.",
	  .examples = "banger vm ports web-1\nbanger vm ports -l tier=web --format '{{.Vm}} {{.Endpoint}}'" },
	{ .name = "vm stats", .args = STATS_ARGS, .run = stats_run, .max_args = TARGETS_MAX,
	  .options = TARGETS | BIT(OPT_FORMAT) | BIT(OPT_NO_STREAM) | BIT(OPT_INTERVAL),
	  .summary = "show what VMs use of the host, until interrupted",
	  .doc = "Without words: all VMs that run. CPU is that of the VM's process since the round before, 100% being one CPU; PSS is the host's memory that it takes, with its share of what it shares, RSS with all of that; "
		 "DISK is what its disk takes of the host's, READ and WRITTEN are of the host's storage since the start. GUEST MEM, RX and TX are what the guest says, where it answers within --timeout (1s). "
		 "CACHE (copies of its disks in its memory), SWAPPED (out) and FAULTS (that waited for a disk) are what the driver of its balloon has told the VMM within the last five seconds, and so is GUEST MEM where its agent does not answer. "
		 "On a terminal the table is drawn again and again; elsewhere one follows the other, or with --json an object a line. With --no-stream there is one, after one --interval, and --json gives a list.",
	  .examples = "banger vm stats\nbanger vm stats --no-stream -l tier=web\nbanger vm stats --json | jq -r 'select(.cpu_milli > 900).name'" },
	{ .name = "vm top", .args = STATS_ARGS, .run = top_run, .max_args = TARGETS_MAX,
	  .options = TARGETS | BIT(OPT_INTERVAL),
	  .summary = "watch the busiest VMs on the whole terminal; q leaves",
	  .doc = "As banger vm stats, on a screen of its own, the VM that uses most CPU first.",
	  .examples = "banger top\nbanger top --interval 5s -l tier=web" },
	{ .name = "vm logs", .args = "REF", .run = logs_run, .min_args = 1, .max_args = 1,
	  .options = BIT(OPT_FOLLOW) | BIT(OPT_TAIL) | BIT(OPT_VMM_LOG),
	  .summary = "print a VM's console log",
	  .doc = "With --follow it goes on through stops and restarts of the VM, and of the daemon, and ends when the VM is deleted.  With --vmm it is what the VMM says, for as long as that runs; "
		 "of a VM that does not run, the end of what it said when the VM last failed.  A log that grows without end loses its beginning: of what a guest printed at least the last 4 MiB are kept, of what its VMM said 64 KiB.",
	  .examples = "banger logs -f -n 20 web-1\nbanger logs --vmm web-1" },
	{ .name = "image import", .args = "PATH", .run = image_import_run, .min_args = 1, .max_args = 1,
	  .options = BIT(OPT_NAME) | BIT(OPT_DISK) | BIT(OPT_KERNEL) | BIT(OPT_FORCE),
	  .summary = "make an image of a tar of a root file system or of an ext4 file",
	  .doc = "Without --name the image is called as the file, less its ending.", .examples = "banger image import rootfs.tar.gz --name base" },
	{ .name = "image build", .args = "SOURCE", .run = image_build_run, .min_args = 1, .max_args = 1,
	  .options = BIT(OPT_NAME) | BIT(OPT_DISK) | BIT(OPT_PACKAGE) | BIT(OPT_FORCE),
	  .summary = "build an image from a distribution's packages", .examples = "banger image build debian:bookworm --package git --package make" },
	{ .name = "image list", .args = "", .run = image_list_run, .options = BIT(OPT_FORMAT), .doc = LIST_DOC, .summary = "list images" },
	{ .name = "image show", .args = "IMAGE", .run = image_show_run, .min_args = 1, .max_args = 1, .summary = "show one image as JSON" },
	{ .name = "image rm", .args = "IMAGE...", .run = image_rm_run, .min_args = 1, .max_args = TARGETS_MAX, .summary = "remove images that no VM uses" },
	{ .name = "kernel import", .args = "[PATH]", .run = kernel_import_run, .max_args = 1,
	  .options = BIT(OPT_NAME) | BIT(OPT_INITRD) | BIT(OPT_MODULES) | BIT(OPT_FORCE),
	  .summary = "add a kernel from a Debian package, a vmlinuz or a vmlinux",
	  .doc = "Without PATH: Debian's cloud kernel, fetched by apt.", .examples = "banger kernel import\nbanger kernel import linux-image-6.1.0-31-cloud-amd64.deb" },
	{ .name = "kernel list", .args = "", .run = kernel_list_run, .options = BIT(OPT_FORMAT), .doc = LIST_DOC, .summary = "list kernels" },
	{ .name = "kernel show", .args = "KERNEL", .run = kernel_show_run, .min_args = 1, .max_args = 1, .summary = "show one kernel as JSON" },
	{ .name = "kernel rm", .args = "KERNEL...", .run = kernel_rm_run, .min_args = 1, .max_args = TARGETS_MAX, .summary = "remove kernels that no VM uses" },
	{ .name = "op list", .args = "", .run = op_list_run, .options = BIT(OPT_FORMAT), .doc = LIST_DOC, .summary = "list operations under way, and the latest" },
	{ .name = "op show", .args = "OP_ID", .run = op_show_run, .min_args = 1, .max_args = 1,
	  .options = BIT(OPT_ALL) | BIT(OPT_TRACE),
	  .summary = "show one operation with its steps and their times",
	  .doc = "Each step has a bar on the operation's time line. Of an operation on more than four VMs the steps are put together: how many took how long; with --all each VM's are shown. "
		 "\"queue\" is the time that a VM was busy with what came before, \"admit\" that it waited for its turn to start; \"intent\" and \"record\" are waits for the disk. "
		 "--trace writes the same as trace events (JSON), one row per VM.",
	  .examples = "banger op show 01J9ZKQ5T0000000000000000A\nbanger op show --trace 01J9ZKQ5T0000000000000000A >start.json" },
	{ .name = "op wait", .args = "OP_ID", .run = op_wait_run, .min_args = 1, .max_args = 1,
	  .options = BIT(OPT_TIMEOUT), .summary = "wait until an operation has ended",
	  .doc = "The exit status is 0 where it was done and no VM failed, else 1." },
	{ .name = "op cancel", .args = "OP_ID", .run = op_cancel_run, .min_args = 1, .max_args = 1, .summary = "cancel an operation; what it had begun is undone" },
	{ .name = "info", .args = "", .run = info_run, .summary = "show the daemon's version, capacity and defaults" },
	{ .name = "ping", .args = "", .run = ping_run, .summary = "ask the daemon for an answer" },
	{ .name = "doctor", .args = "", .run = doctor_run,
	  .options = BIT(OPT_FLEET) | BIT(OPT_VCPU) | BIT(OPT_MEMORY) | BIT(OPT_DISK),
	  .summary = "check this host and say what to do",
	  .doc = "Changes nothing and starts nothing. A row is PASS, WARN (it works, but not as well as it could) or FAIL, and what is not PASS says what to do. "
		 "The exit status is 0 where no check fails, warnings or not, and 1 where one does. "
		 "With --fleet N there is a row for each limit of the host, with the number of VMs that it allows, and a last one that names the first to be met; the VMs have --vcpu, --memory and --disk, else the defaults. "
		 "That they fit while none uses all it was given is enough; where they might then not fit there is a warning.",
	  .examples = "banger doctor\nbanger doctor --fleet 200 --memory 512M\nbanger doctor --json | jq -r '.[] | select(.verdict == \"FAIL\").advice'" },
	{ .name = "config show", .args = "", .run = config_show_run, .options = BIT(OPT_FORMAT), .summary = "show every setting and where it came from",
	  .doc = "Of the daemon that runs; where none does, of what one would read. Settings are described in banger.conf(5)." },
	{ .name = "config check", .args = "[FILE]", .run = config_check_run, .max_args = 1, .summary = "say what is wrong in a configuration file",
	  .doc = "Without FILE: in those that are read, and in the environment. One line per problem, with file and line; the exit status is 1 when there is any.",
	  .examples = "banger config check ./banger.conf" },
	{ .name = "config reload", .args = "", .run = config_reload_run, .summary = "make the daemon read its configuration again",
	  .doc = "Says which settings have a new value, and which get theirs when the daemon starts again. Where anything is wrong, all stays as it is." },
	{ .name = "daemon start", .args = "", .run = daemon_start_run, .summary = "start the daemon; other commands do it when needed" },
	{ .name = "daemon stop", .args = "", .run = daemon_stop_run, .summary = "end the daemon; VMs run on" },
	{ .name = "daemon status", .args = "", .run = daemon_status_run, .summary = "say whether the daemon runs (exit status 0) or not (1)" },
	{ .name = "version", .args = "", .run = version_run, .summary = "show the versions of banger and of the daemon that runs" },
	{ .name = "completion", .args = "SHELL", .run = completion_run, .min_args = 1, .max_args = 1, .summary = "print the script that completes commands in bash, zsh or fish",
	  .doc = "An installed banger brings these scripts along; this is for one that is not. Names of VMs, images and kernels are those of the daemon, where one runs.",
	  .examples = "source <(banger completion bash)\nbanger completion fish | source" },
	{ .name = "events", .args = "", .run = events_run, .options = BIT(OPT_TYPE) | BIT(OPT_LABEL),
	  .summary = "print a line whenever something happens, until interrupted",
	  .doc = "VMs change their state (vm), operations begin and end (op), images and kernels are added and removed (image, kernel). Labels select VMs, and so the type vm. "
		 "With --json each line is an object. What is not read in time is not kept: a line \"lost\" says how many events are missing.",
	  .examples = "banger events --type vm -l tier=web\nbanger events --json | jq -r 'select(.state == \"failed\").name'" },
};

const struct command_alias command_aliases[] = {
	{ "run", "vm run" },        { "exec", "vm exec" },     { "shell", "vm shell" },
	{ "ps", "vm list" },        { "vm ls", "vm list" },    { "vm ps", "vm list" },
	{ "cp", "vm cp" },
	{ "vm rm", "vm delete" },   { "logs", "vm logs" },     { "vm inspect", "vm show" },
	{ "image ls", "image list" }, { "kernel ls", "kernel list" }, { "op ls", "op list" },
	{ "watch", "events" },      { "stats", "vm stats" },   { "top", "vm top" },
};

const struct command_group command_groups[] = {
	{ "vm", "virtual machines: create, run commands in them, delete" },
	{ "image", "root file systems: import, build, remove" },
	{ "kernel", "kernels: import, list, remove" },
	{ "op", "operations: what was done, what is under way, cancel" },
	{ "config", "settings: show, check, read again" },
	{ "daemon", "the daemon: start, stop, status" },
};

const struct exit_status exit_statuses[] = {
	{ "0", false, true, "Success." },
	{ "1", false, true, "Failure. Where a command works on several VMs and says so, the number of VMs that failed, at most 100." },
	{ "2", false, true, "The command line could not be understood; nothing was done." },
	{ "125", true, false, "The failure is banger's, not the command's; also when the command line could not be understood." },
	{ "126", true, false, "The command could not be executed." },
	{ "127", true, false, "The command was not found." },
	{ "128+n", true, true, "Ended by signal n: banger, or the command in the guest." },
	{ "any other", true, false, "The command's own, verbatim." },
};
/* clang-format on */

const size_t ncommands = ARRAY_LEN(commands);
const size_t ncommand_aliases = ARRAY_LEN(command_aliases);
const size_t ncommand_groups = ARRAY_LEN(command_groups);
const size_t nexit_statuses = ARRAY_LEN(exit_statuses);

static const struct command *command_exact(const char *name)
{
	for (size_t i = 0; i < ncommands; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

const struct command *command_by_name(const char *name)
{
	for (size_t i = 0; i < ncommand_aliases; i++)
		if (strcmp(command_aliases[i].name, name) == 0)
			return command_exact(command_aliases[i].target);
	return command_exact(name);
}

bool command_is_group(const char *word)
{
	for (size_t i = 0; i < ncommand_groups; i++)
		if (strcmp(command_groups[i].name, word) == 0)
			return true;
	return false;
}

/* Offers whole names for a whole name, and first words for a first word. */
static int command_unknown(const char *name, struct err *e)
{
	struct suggest near = { .word = name };

	for (size_t i = 0; i < ncommands; i++)
		suggest_offer(&near, commands[i].name);
	for (size_t i = 0; i < ncommand_aliases; i++)
		suggest_offer(&near, command_aliases[i].name);
	for (size_t i = 0; i < ncommands && !near.best; i++) {
		const char *verb = strchr(commands[i].name, ' ');

		if (verb && strcmp(verb + 1, name) == 0) {
			near.best = commands[i].name;
			break;
		}
	}
	if (near.best)
		return err_set(e, ERR_BAD_REQUEST, "unknown command \"%s\"; did you mean \"%s\"?",
			       name, near.best);
	return err_set(e, ERR_BAD_REQUEST, "unknown command \"%s\"", name);
}

const struct command *command_find(int argc, char **argv, int *ret_words, struct err *e)
{
	char name[NAME_BYTES];
	const struct command *c;
	int words = 1;

	(void)snprintf(name, sizeof(name), "%s", argv[0]);
	if (command_is_group(argv[0])) {
		if (argc < 2 || argv[1][0] == '-') {
			err_set(e, ERR_BAD_REQUEST, "\"%s\" needs a command", argv[0]);
			return NULL;
		}
		(void)snprintf(name, sizeof(name), "%s %s", argv[0], argv[1]);
		words = 2;
	}
	c = command_by_name(name);
	if (!c) {
		command_unknown(name, e);
		return NULL;
	}
	*ret_words = words;
	return c;
}

int command_failure(const struct command *c)
{
	return c && c->guest ? STATUS_OURS : STATUS_FAILED;
}
