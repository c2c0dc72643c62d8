/* job.h - heavy image work, done by `banger-imager`, a child process of the daemon.
 *
 * Parsing tars and packages and writing file systems needs large libraries and eats foreign bytes,
 * so it happens in a process of its own: the daemon stays small, a crash or a cancel (SIGKILL)
 * costs a staging directory only, which the daemon removes.
 *
 *   banger-imager image-import  STAGING SOURCE DISK_BYTES
 *   banger-imager image-build   STAGING debian:SUITE DISK_BYTES [PACKAGE...]
 *   banger-imager kernel-import STAGING SOURCE|"" INITRD|"" MODULES|"" INIT AGENT
 *
 * STAGING exists and is empty; results are written into it, fsynced, under the names below, and the
 * daemon publishes it by rename.  On stdout the job writes lines of text, one event each:
 *
 *   progress STAGE DONE TOTAL          bytes or entries; TOTAL 0 when not known
 *   result KEY VALUE                   zero or more; the value runs to the end of the line
 *   error CODE MESSAGE                 a row of errors.def, then exit status 1
 *
 * Exit status 0 only after everything is durable.  stderr goes to STAGING/log.
 */
#pragma once

#define IMAGE_FILE_ROOT   "rootfs.ext4" /* image-import, image-build */
#define IMAGE_FILE_UPPER  "upper.ext4"  /* likewise: upper.h */
#define IMAGE_FILE_KERNEL "vmlinux"     /* kernel-import: ELF with PVH note, or as it came */
#define IMAGE_FILE_INITRD "initrd"      /* kernel-import: banger-init, banger-agent, modules */
#define IMAGE_FILE_LOG    "log"

/* Keys of result lines. */
#define IMAGE_RESULT_SHA256  "sha256"  /* of the source, hex */
#define IMAGE_RESULT_BYTES   "bytes"   /* of the file system or kernel */
#define IMAGE_RESULT_VERSION "version" /* kernel release */
#define IMAGE_RESULT_SOURCE  "source"
#define IMAGE_RESULT_FORMAT  "format" /* of the kernel: "elf" or "bzimage" */

enum {
	IMAGE_LINE_MAX = 1024, /* bytes of one event line, newline included */
};
