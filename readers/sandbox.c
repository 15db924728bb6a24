/*
 * The sandbox of reader children. Called once by read_main before the first byte of the file is looked at (and by the
 * misbehaving reader of the tests). Must never let parsing start behind half a wall: all layers but Landlock, or an error.
 */
#include "readers/sandbox.h"

#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- Landlock: a domain without rules allows nothing of what it handles ---- */

/* struct landlock_ruleset_attr as of ABI 6; older kernels take the longer struct as long as the rest is zero. */
struct landlock_attr {
	uint64_t fs, net, scoped;
};

static const struct {
	int abi;
	struct landlock_attr adds;
} landlock_rights[] = {
	{1, {0x1fff, 0, 0}}, /* execute, read, write, list, remove, make */
	{2, {1 << 13, 0, 0}}, /* refer */
	{3, {1 << 14, 0, 0}}, /* truncate */
	{4, {0, 3, 0}},       /* bind and connect TCP */
	{5, {1 << 15, 0, 0}}, /* ioctl on devices */
	{6, {0, 0, 3}},       /* abstract sockets, signals */
};

int sandbox_landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* LANDLOCK_CREATE_RULESET_VERSION */);
	return abi > 0 ? (int)abi : 0;
}

static void enter_landlock(void)
{
	int abi = sandbox_landlock_abi();
	struct landlock_attr attr = {0};
	for (size_t i = 0; i < sizeof(landlock_rights) / sizeof(landlock_rights[0]); i++) {
		if (abi < landlock_rights[i].abi)
			break;
		attr.fs |= landlock_rights[i].adds.fs;
		attr.net |= landlock_rights[i].adds.net;
		attr.scoped |= landlock_rights[i].adds.scoped;
	}
	if (abi == 0)
		return;
	long ruleset = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return;
	syscall(SYS_landlock_restrict_self, ruleset, 0);
	close((int)ruleset);
}

/* ---- resource limits ---- */

#define MAPPED_UNKNOWN (256ll << 20)

/* Bytes of address space mapped now: the program and its libraries. */
static int64_t mapped_bytes(void)
{
	char text[64];
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return MAPPED_UNKNOWN;
	ssize_t n = read(fd, text, sizeof(text));
	close(fd);
	int64_t pages = 0;
	for (ssize_t i = 0; i < n && text[i] >= '0' && text[i] <= '9'; i++)
		pages = pages * 10 + (text[i] - '0');
	return pages ? pages * sysconf(_SC_PAGESIZE) : MAPPED_UNKNOWN;
}

static unsigned first_closed(const struct sandbox_limits *limits)
{
	return limits->scratch_bytes > 0 ? SANDBOX_SCRATCH + 1 : SANDBOX_SCRATCH;
}

static enum err enter_limits(const struct sandbox_limits *limits, int64_t mapped)
{
	const struct {
		__rlimit_resource_t resource;
		int64_t soft, hard;
	} rows[] = {
		{RLIMIT_CPU, limits->cpu_seconds, limits->cpu_seconds + 1},
		{RLIMIT_NOFILE, first_closed(limits), first_closed(limits)},
		{RLIMIT_FSIZE, limits->scratch_bytes, limits->scratch_bytes},
		{RLIMIT_NPROC, 0, 0},
		{RLIMIT_CORE, 0, 0},
		{RLIMIT_AS, mapped + limits->memory_bytes, mapped + limits->memory_bytes},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].resource == RLIMIT_AS && SANDBOX_ADDRESS_SANITIZER)
			continue;
		struct rlimit limit = {(rlim_t)rows[i].soft, (rlim_t)rows[i].hard};
		if (setrlimit(rows[i].resource, &limit))
			return ERR_IO;
	}
	return OK;
}

/* ---- seccomp ---- */

static const int allowed[] = {
	SCMP_SYS(read),          SCMP_SYS(pread64), SCMP_SYS(readv),        SCMP_SYS(write),      SCMP_SYS(writev), SCMP_SYS(lseek),
	SCMP_SYS(fstat),         SCMP_SYS(munmap),  SCMP_SYS(mremap),       SCMP_SYS(brk),        SCMP_SYS(madvise), SCMP_SYS(exit),
	SCMP_SYS(exit_group),    SCMP_SYS(futex),   SCMP_SYS(rt_sigreturn), SCMP_SYS(getrandom),  SCMP_SYS(clock_gettime),
	SCMP_SYS(restart_syscall),
	/* abort(), so that a caught memory error is told apart from a forbidden call */
	SCMP_SYS(getpid),        SCMP_SYS(gettid),  SCMP_SYS(rt_sigprocmask),
#if SANDBOX_ADDRESS_SANITIZER
	SCMP_SYS(mprotect),      SCMP_SYS(rt_sigaction), SCMP_SYS(sigaltstack), SCMP_SYS(sched_yield),
#endif
};

/* Calls allowed with some arguments only. Nothing but a scratch file is ever written at a position. */
static int allow_conditional(scmp_filter_ctx filter, bool scratch)
{
	int failed = scratch ? seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(pwrite64), 1, SCMP_A0(SCMP_CMP_EQ, SANDBOX_SCRATCH, 0)) : 0;
	if (failed)
		return failed;
	failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
				      SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));
	if (failed)
		return failed;
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 2, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0),
				SCMP_A2(SCMP_CMP_EQ, SIGABRT, 0));
}

static enum err enter_seccomp(bool scratch)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (!filter)
		return ERR_IO;
	int failed = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]) && !failed; i++)
		failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	if (!failed)
		failed = allow_conditional(filter, scratch);
	if (!failed)
		failed = seccomp_load(filter);
	seccomp_release(filter);
	return failed ? ERR_IO : OK;
}

enum err sandbox_enter(const struct sandbox_limits *limits)
{
	int64_t mapped = mapped_bytes();
	signal(SIGXFSZ, SIG_IGN); /* a full scratch file is an error of write, not a death */
	if (close_range(first_closed(limits), ~0U, 0))
		return ERR_IO;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return ERR_IO;
	enter_landlock();
	enum err err = enter_limits(limits, mapped);
	return err ? err : enter_seccomp(limits->scratch_bytes > 0);
}
