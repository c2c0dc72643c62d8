/* limits.h - every bound of the daemon's behaviour, with its unit.  What exceeds one is refused
 * with an error that says so; none is a silent cut.  Those that a user may set are keys of
 * banger.conf: conf/conf.h. */
#pragma once

enum {
	CLIENTS_MAX = 1024,            /* connections; one more is told "busy" and closed */
	CLIENTS_REFUSED_MAX = 64,      /* that are being told so at once; one more is just closed */
	CLIENT_BYTES_OWN = 64 << 10,   /* that each may take of requests, frames and answers ... */
	CLIENTS_BYTES_MAX = 256 << 20, /* ... and what all together may take beyond that */
	CLIENT_REQUESTS_MAX = 512,     /* unanswered requests on one connection */
	CLIENT_HELLO_MS = 10000,       /* from accept to the hello */
	CLIENT_FRAME_MS = 30000,       /* from a frame's first byte to its last */
	CLIENT_OUT_HIGH = 1 << 20,     /* unsent bytes above which a client's requests wait ... */
	CLIENT_OUT_LOW = 64 << 10,     /* ... until there are so few */
	CLIENT_STREAM_BUDGET =
		2 << 20, /* bytes of stream windows that one connection may hold in full */
	CLIENT_STREAM_SMALL = 1024, /* window of each stream beyond that budget */
	CLIENT_LINGER_MS = 1000,    /* to send what is left when we close a connection */
	CONSOLE_WINDOW = 4096,      /* bytes that may be typed ahead of a VM's console ... */
	CONSOLE_LOW = 1024,         /* ... and are asked for when so few wait for its VMM */
	FIFO_AGAIN_MS = 100,        /* a FIFO that was full is tried again after this */
	CONSOLE_LINGER_MS = 1000,   /* for the last of them once all is typed */
	PROGRESS_STAGES_MAX = 16,   /* VMs of one request up to which each step of each is told */
	CHUNKS_BYTES_MAX = 8
			   << 20, /* between actors; who makes more waits until some were handled */
	CHUNKS_AGAIN_MS = 1,      /* ... and looks again after this */
	WATCHERS_MAX = 64,
	EVENT_QUEUE_MAX = 1024, /* events on their way to one request; more are counted as lost */

	OPS_TRIM_EVERY = 1024, /* finished operations between two trims */
	OP_ROWS_MAX = 100,     /* rows of op.list */
	OP_COMMITS_KEEP = 256, /* operations whose commit time is remembered, in memory */
	TASK_QUEUE_MAX = 64,   /* requests that may wait for one VM */
	WAITERS_MAX = 1024,    /* that may wait for one VM's state */
	TASKS_MAX = 4 * 16384, /* parts of operations, one for each VM, under way in all */

	/* Bytes of a result: with what surrounds it in a reply, and in the record that keeps it, it
	 * still is one frame and one value of the store. */
	RESULT_BYTES_MAX = (1 << 20) - 8192,
	/* Of a record for each step that it keeps of an operation. */
	OP_STEP_BYTES = 144,
	/* Of a result for each row of an operation on many VMs, its message aside. */
	TARGET_ROW_BYTES = 232,

	COMMIT_DEADLINE_MS = 30000,
	FILES_DEADLINE_MS = 30000, /* making or removing a VM's files */
	CONNECT_DEADLINE_MS = 5000,
	SPAWN_DEADLINE_MS = 10000,
	HELPER_DEADLINE_MS = 30000, /* a question to the root helper, also behind others */
	KILL_DEADLINE_MS = 10000,   /* from SIGKILL to the exit */
	RETRY_FIRST_MS = 1000, /* an undo that failed is tried again after this, doubling ... */
	LEASE_RETRY_MS = 5000, /* a VM whose client has gone is looked at again */
	SYSTEM_PATIENCE_MS =
		15000,        /* until clients are served though the root helper has said nothing */
	RETRY_MAX_MS = 60000, /* ... up to this */

	VMM_ASK_MS = 2000, /* for a VMM to say its version, before the daemon serves */
	ACCEL_FRESH_MS =
		10000,        /* a verdict on accelerators holds without another look at the host */
	ACCEL_UP_MS = 10000,  /* for a test guest to come up, and emulation to do its loop */
	ACCEL_LOOP_MS = 2000, /* for KVM to do it, besides a multiple of what emulation needs */

	CONSOLE_REST_MS = 1,       /* from a part of the probe's line to the next look, the first */
	CONSOLE_REST_MAX_MS = 16,  /* ... doubling up to this */
	CONTROL_ASKED_MAX = 16,    /* requests that one VMM has not answered ... */
	CONTROL_ASKED_OURS = 4,    /* ... of which clients have all but these */
	CONTROL_ASK_MS = 500,      /* for its answer to a client's */
	LIMITS_DEADLINE_MS = 2000, /* ... and to those about what a VM may move */
	BOOT_LINE_MAX = 256,       /* console bytes kept while looking for the probe's line */
	VMM_TAIL_BYTES = 200,      /* of the VMM's stderr that an error quotes */
	VMM_LOG_KEEP_BYTES = 64 << 10, /* ... and that is kept of it; of a running one up to twice
					* that and what it says between two looks */
	CONSOLE_KEEP_BYTES = 4 << 20,  /* likewise of what its guest has printed */
	LOGS_LOOK_MS = 5000,           /* between two looks at the logs of all */
	AGENT_HELLO_MS = 5000, /* from GUEST_SYNC to the agent's hello before we send it again */
	EARLY_MAX = 256,  /* commands, and what belongs to them, that wait for the agent of a VM */
	EARLY_MS = 15000, /* how long they do */
	AGENT_RING_MS = 250,    /* one that rings is not listened to for so long after it */
	AGENT_RINGS_MAX = 8,    /* rings that wait meanwhile; one more is refused by the kernel */
	AGENT_REDIAL_MS = 5000, /* one that is lost is called again without having rung */
	AGENT_REST_MS = 5000, /* an agent that broke the protocol is not listened to for so long */
	AGENT_QUIET_MS = 15000,  /* commands run and it says nothing: it is asked how it is ... */
	AGENT_ANSWER_MS = 45000, /* ... and given up when it does not say */
	AGENT_ANEW_MS = 500,     /* an agent that begins anew sooner than that breaks it */
	/* Bytes on an agent's channel.  What waits to be sent to it: requests are taken and credit
	 * is passed on up to LOW, input up to MAX, and what must be said has room above that. */
	LINK_OUT_LOW = 256 << 10,
	LINK_OUT_MAX = 3584 << 10,
	LINK_STDIN_BUDGET = 1 << 20, /* of windows of standard input, before they become small */
	LINK_STDIN_WINDOW = 64 << 10,
	LINK_STDIN_SMALL = 2 << 10,
	LINK_FRAME_SMALL = 64, /* of a frame that carries next to nothing */
	LINK_STRAYS_FIRST = 64
			    << 10, /* said of nothing that is under way, besides what was granted */
	LINK_NOISE_MAX = 4 << 20,  /* read between our hello and its answer */

	GUEST_ASK_MS = 5000,       /* default: for the agent's answer to a question */
	HEALTH_MEMORY_PERCENT = 5, /* available: less is a problem */
	HEALTH_DISK_PERCENT = 5,

	JOBS_MAX = 4, /* image and kernel jobs at once */
	JOBS_QUEUE_MAX = 64,
	IMAGES_MAX = 256,
	KERNELS_MAX = 256,

	SHUTDOWN_MS = 5000, /* for connections to take their last answers */
};
