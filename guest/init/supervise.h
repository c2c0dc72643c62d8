/* supervise.h - PID 1 of a guest whose image has no init: reaps, keeps the agent up, powers off. */
#pragma once

#include <sys/types.h>

/* Starts the agent as a child; its pid or -errno. */
pid_t agent_start(void);

/* Before the agent starts, so that no signal is lost. */
void supervise_prepare(void);

/* Before another init takes over: it expects no signal blocked. */
void supervise_release(void);

/* Never returns: ends with the machine.  SIGUSR2 (the agent's poweroff), SIGTERM, SIGINT and SIGPWR
 * ask for that. */
_Noreturn void supervise(pid_t agent);

/* Syncs, and ends the machine at once. */
_Noreturn void machine_off(void);
