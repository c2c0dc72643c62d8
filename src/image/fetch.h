/* fetch.h - gets Debian's kernel package through the host's own apt. */
#pragma once

#include "base/err.h"
#include "image/jobs.h"

/* Downloads the package that linux-image-cloud-amd64 stands for into the staging directory. */
int fetch_kernel(const struct job *job, char **ret_path, struct err *e);
