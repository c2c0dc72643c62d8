/* root.h - from the initrd's file system to the image's.
 *
 * Until root_switch() paths are the initrd's and the image is at ROOT_MOUNT; afterwards they are
 * the image's, and the initrd's memory is free.  Nothing here writes to the image's files: what it
 * lacks is mounted over it (an absent mount point is the one thing that is made).
 */
#pragma once

#include "base/err.h"
#include "guest/init/options.h"

#define ROOT_MOUNT "/sysroot"
#define AGENT_PATH "/run/banger/banger-agent" /* in the image, in memory */

/* /proc, /sys and /dev of the initrd, and the console as stdin, stdout, stderr. */
int root_early(struct err *e);

/* Waits for the device and mounts it at ROOT_MOUNT; where there is an upper one too, the two as
 * one, of which only the upper one is written to. */
int root_mount(const struct options *o, int uevent_fd, struct err *e);

/* Moves /proc, /sys, /dev into the image, mounts /run and the like there. */
int root_furnish(struct err *e);

/* Copies the agent from `source`, a path in the initrd, to AGENT_PATH. */
int root_install_agent(const char *source, struct err *e);

/* Gives an image without a usable /etc/resolv.conf one, if there is a server to name. */
int root_resolver(const struct options *o, struct err *e);

int root_switch(struct err *e);
