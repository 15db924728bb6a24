/*
 * Starts a test restore and takes its answer. Called by the jobs that back up and verify. Must never believe more of the child than one line in a
 * fixed form, nor wait longer than a deadline.
 */
#include "handlers/backups/prove.h"

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "handlers/backups/scratch_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 512, FIRST_FREE = 5 };

struct ends {
	int object, scratch, key[2], answer[2];
};

/* Between fork and exec: only async-signal-safe calls. Does not return. */
static _Noreturn void become_child(const struct ends *ends, char **arguments, pid_t parent)
{
	static char *const no_environment[] = {NULL};
	const int from[] = {ends->object, ends->answer[1], -1, ends->scratch, ends->key[0]};
	int copies[FIRST_FREE];
	sigset_t none;
	bool ready = true;
	sigemptyset(&none);
	for (int i = 0; i < FIRST_FREE; i++) {
		copies[i] = from[i] < 0 ? open("/dev/null", O_WRONLY | O_CLOEXEC) : fcntl(from[i], F_DUPFD_CLOEXEC, 20);
		ready = ready && copies[i] >= 0;
	}
	for (int i = 0; ready && i < FIRST_FREE; i++)
		ready = dup2(copies[i], i) == i;
	ready = ready && close_range(FIRST_FREE, ~0U, 0) == 0 && setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (ready)
		execve("/proc/self/exe", arguments, no_environment);
	_exit(127);
}

static bool send_key(int fd, const struct age_identity *identity)
{
	char text[AGE_TEXT_SIZE] = "";
	if (identity)
		age_identity_text(identity, text);
	bool sent = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	sodium_memzero(text, sizeof(text));
	return sent;
}

/* Reads until the child closes, the line is too long, or the deadline passes. False: the deadline. */
static bool read_answer(int fd, int64_t deadline_us, char line[LINE_MAX_BYTES])
{
	size_t n = 0;
	for (;;) {
		int64_t left = deadline_us - clock_monotonic_us();
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		if (left <= 0)
			return false;
		int ready = poll(&wait, 1, (int)(left / 1000 + 1));
		if (ready <= 0)
			continue;
		ssize_t got = read(fd, line + n, LINE_MAX_BYTES - 1 - n);
		if (got < 0 && errno == EINTR)
			continue;
		n += got > 0 ? (size_t)got : 0;
		line[n] = '\0';
		if (got <= 0 || n == LINE_MAX_BYTES - 1)
			return true;
	}
}

static enum err parse_ok(const char *text, struct proof *ret)
{
	struct proof proof = {0};
	const char *rows = text + 65, *tables = strlen(text) > 65 ? strchr(rows, ' ') : NULL;
	if (!tables || text[64] != ' ' || hex_decode(text, 64, proof.hash, sizeof(proof.hash)) || parse_i64_n(rows, (size_t)(tables - rows), 0, INT64_MAX, &proof.rows) ||
	    parse_i64(tables + 1, 0, INT64_MAX, &proof.tables))
		return ERR_INVALID;
	*ret = proof;
	return OK;
}

/* Codes the child may say; anything else is no answer. */
static enum err parse_failed(char *text, struct backup_failure *failure)
{
	static const char *const codes[] = {"object_damaged", "dump_not_whole", "restore_failed", "content_differs", "key_missing", "disk_full", "no_memory", "prover_died",
	                                    "source_needs_extension", "source_corrupt", "source_failed", "value_too_large"};
	char *detail = strchr(text, ' ');
	if (detail)
		*detail++ = '\0';
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (text_equal(text, codes[i])) {
			backup_refuse(failure, codes[i], detail ? detail : "");
			return text_equal(text, "disk_full") ? ERR_IO : text_equal(text, "no_memory") ? ERR_TOO_LARGE : ERR_INVALID;
		}
	backup_refuse(failure, "prover_died", "it said what no test restore says");
	return ERR_IO;
}

static enum err judge(char *line, int status, struct proof *ret, struct backup_failure *failure)
{
	size_t n = strlen(line);
	if (n && line[n - 1] == '\n')
		line[n - 1] = '\0';
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && text_starts_with(line, "ok ") && !parse_ok(line + 3, ret))
		return OK;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && text_starts_with(line, "failed "))
		return parse_failed(line + 7, failure);
	char how[64];
	snprintf(how, sizeof(how), WIFSIGNALED(status) ? "ended by signal %d" : "exit status %d", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	backup_refuse(failure, "prover_died", how);
	return ERR_IO;
}

static enum err run(const struct config *config, const struct ends *ends, const struct age_identity *identity, struct proof *ret, struct backup_failure *failure)
{
	char memory[24], seconds[24], line[LINE_MAX_BYTES] = "";
	int status = 0;
	snprintf(memory, sizeof(memory), "%lld", (long long)config->backups_prover_memory);
	snprintf(seconds, sizeof(seconds), "%lld", (long long)config->backups_deadline_s);
	char *arguments[] = {(char *)"tidegate", (char *)"prove", memory, seconds, NULL};
	pid_t parent = getpid(), child = fork();
	if (child == 0)
		become_child(ends, arguments, parent);
	close(ends->answer[1]);
	if (child < 0)
		return ERR_IO;
	bool in_time = send_key(ends->key[1], identity);
	close(ends->key[1]);
	in_time = in_time && read_answer(ends->answer[0], clock_monotonic_us() + config->backups_deadline_s * 1000000, line);
	if (!in_time)
		kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (in_time)
		return judge(line, status, ret, failure);
	backup_refuse(failure, "deadline", "the test restore");
	return ERR_TIMEOUT;
}

enum err prove_object(const struct config *config, int object, const struct age_identity *identity, struct proof *ret, struct backup_failure *failure)
{
	struct ends ends = {.object = object, .key = {-1, -1}, .answer = {-1, -1}};
	char spool[4096];
	enum err err = ERR_IO;
	snprintf(spool, sizeof(spool), "%s/spool", config->storage_root);
	ends.scratch = open(spool, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (ends.scratch >= 0 && !pipe2(ends.key, O_CLOEXEC) && !pipe2(ends.answer, O_CLOEXEC)) {
		err = run(config, &ends, identity, ret, failure);
	} else {
		if (ends.key[1] >= 0)
			close(ends.key[1]);
		backup_refuse(failure, "disk_full", strerror(errno));
	}
	if (ends.scratch >= 0)
		close(ends.scratch);
	if (ends.key[0] >= 0)
		close(ends.key[0]);
	if (ends.answer[0] >= 0)
		close(ends.answer[0]);
	return err;
}
