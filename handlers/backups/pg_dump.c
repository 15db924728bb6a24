/*
 * Runs pg_dump and pg_restore. Called by the job that backs up. Must never show a password: it goes through the environment of the child, nor take the
 * output of a pg_dump that failed.
 */
#include "handlers/backups/pg_dump.h"

#include "core/base/arena.h"
#include "core/base/text.h"
#include "handlers/backups/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READ_SIZE = 1 << 16, PROVE_ARENA = 4 << 20 };

static _Noreturn void become(char **arguments, char **environment, int input, int output)
{
	sigset_t none;
	sigemptyset(&none);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	bool ready = (input == STDIN_FILENO || dup2(input, STDIN_FILENO) >= 0) && (output == STDOUT_FILENO || dup2(output, STDOUT_FILENO) >= 0) &&
	             close_range(STDERR_FILENO + 1, ~0U, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
	if (ready)
		execvpe(arguments[0], arguments, environment);
	_exit(127);
}

static enum err ended(pid_t child, const char *code, struct backup_failure *failure)
{
	int status = -1;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return OK;
	char how[64];
	snprintf(how, sizeof(how), WIFSIGNALED(status) ? "ended by signal %d" : "exit status %d", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return backup_refuse(failure, code, how);
}

enum err pg_dump_run(const struct config *config, struct sink to, struct backup_failure *failure)
{
	static char password[1024], path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
	char conninfo[2048], bytes[READ_SIZE];
	char *environment[] = {path, password, NULL};
	char *arguments[] = {(char *)config->backups_pg_dump, (char *)"--format=custom", (char *)"--no-password", (char *)"--dbname", conninfo, NULL};
	int ends[2];
	bool own = *config->backups_pg_conninfo == '\0';
	snprintf(conninfo, sizeof(conninfo), "%s", own ? config->database_owner : config->backups_pg_conninfo);
	snprintf(password, sizeof(password), "PGPASSWORD=%s", own ? config->database_owner_password : "");
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0 || pipe2(ends, O_CLOEXEC)) {
		if (null >= 0)
			close(null);
		return ERR_IO;
	}
	pid_t child = fork();
	if (child == 0)
		become(arguments, environment, null, ends[1]);
	explicit_bzero(password, sizeof(password));
	close(null);
	close(ends[1]);
	enum err err = child < 0 ? ERR_IO : OK;
	for (ssize_t n = 1; !err && n;) {
		n = read(ends[0], bytes, sizeof(bytes));
		if (n > 0)
			err = sink_put(&to, bytes, (size_t)n);
		else if (n < 0 && errno != EINTR)
			err = ERR_IO;
	}
	close(ends[0]);
	if (child < 0)
		return err;
	enum err how = ended(child, "pg_dump_failed", failure);
	return err ? err : how;
}

/* The plain dump in a file without a name. */
static enum err decrypt(const struct config *config, int object, const struct age_identity *identity, int *ret_fd, struct backup_failure *failure)
{
	struct arena arena;
	char spool[PATH_MAX];
	snprintf(spool, sizeof(spool), "%s/spool", config->storage_root);
	int fd = open(spool, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return ERR_IO;
	arena_init(&arena, PROVE_ARENA);
	enum err err = unpack_file(&arena, object, identity, sink_file(&fd));
	arena_release(&arena);
	if (!err && lseek(fd, 0, SEEK_SET) != 0)
		err = ERR_IO;
	if (err) {
		close(fd);
		return err == ERR_INVALID || err == ERR_DENIED ? backup_refuse(failure, "object_damaged", "it cannot be decrypted") : err;
	}
	*ret_fd = fd;
	return OK;
}

enum err pg_dump_prove(const struct config *config, int object, const struct age_identity *identity, struct backup_failure *failure)
{
	static char path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
	char program[PATH_MAX];
	char *environment[] = {path, NULL};
	char *arguments[] = {program, (char *)"--file=/dev/null", NULL};
	const char *slash = strrchr(config->backups_pg_dump, '/');
	snprintf(program, sizeof(program), "%.*spg_restore", slash ? (int)(slash - config->backups_pg_dump) + 1 : 0, config->backups_pg_dump);
	int fd = -1, null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	enum err err = null < 0 ? ERR_IO : decrypt(config, object, identity, &fd, failure);
	pid_t child = err ? -1 : fork();
	if (child == 0)
		become(arguments, environment, fd, null);
	if (!err)
		err = child < 0 ? ERR_IO : ended(child, "object_damaged", failure);
	if (null >= 0)
		close(null);
	if (fd >= 0)
		close(fd);
	return err;
}
