/*
 * The sandbox of a reader child. After sandbox_enter the process has descriptors 0, 1 and 2 (and 3 if it was given a scratch
 * file, see SANDBOX_SCRATCH), its memory and its clock;
 * it can open, connect, fork, exec, signal and map code no more, whatever it was made to run.
 *
 * Layers, each of which holds alone: no descriptors but these; no new privileges, not traceable; resource limits; a
 * Landlock domain without any rule, where the kernel has Landlock (best effort: no files, TCP, abstract sockets, signals);
 * a seccomp allow-list whose answer to anything else is the death of the process by SIGSYS.
 *
 * In builds with AddressSanitizer there is no address space limit (its shadow takes terabytes), and the allow-list also has
 * mprotect, rt_sigprocmask, rt_sigaction, sigaltstack and sched_yield, which its run-time library needs.
 */
#ifndef TIDEGATE_READERS_SANDBOX_H
#define TIDEGATE_READERS_SANDBOX_H

#include "core/base/err.h"

#include <stdint.h>

struct sandbox_limits {
	int64_t memory_bytes; /* more than what is mapped when the sandbox is entered */
	int64_t cpu_seconds;  /* SIGXCPU at this, SIGKILL one second later */
	int64_t scratch_bytes; /* descriptor 3 stays open and may be written up to this size; 0: it is closed like all others */
};

#if defined(__SANITIZE_ADDRESS__)
#define SANDBOX_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANDBOX_ADDRESS_SANITIZER 1
#endif
#endif
#ifndef SANDBOX_ADDRESS_SANITIZER
#define SANDBOX_ADDRESS_SANITIZER 0
#endif

/* An unlinked, empty file of the parent's, for what does not fit in memory; nobody else ever reads it. */
#define SANDBOX_SCRATCH 3

/* Of no return. ERR_IO when a layer other than Landlock could not be put up: then the caller must not parse anything. */
enum err sandbox_enter(const struct sandbox_limits *limits) MUST_USE;

/* Landlock ABI of this kernel, 0 when there is none; for `doctor` and tests. */
int sandbox_landlock_abi(void);

#endif
