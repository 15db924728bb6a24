/*
 * tidegate pool: keeps N `serve` on one unix socket and M `work`, for `make run`, tests and machines without systemd.
 * A child that ends is started again, not more than once a second each. SIGHUP replaces the children one by one: the new
 * one is started first, then the old one is asked to finish, so no request fails. SIGTERM ends all and waits for them.
 * Must never hold a database connection or touch a request.
 */
#include "commands/commands.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcgiapp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN_MAX = 512, THROTTLE_MS = 1000, STOP_TIMEOUT_MS = 30000, ROLL_PAUSE_MS = 300 };

struct child {
	const char *kind; /* "serve" or "work" */
	pid_t pid;        /* 0: not running */
	int64_t started_us;
};

struct pool {
	struct child children[CHILDREN_MAX];
	int count;
	pid_t retired[CHILDREN_MAX]; /* replaced, still finishing what they had; 0: a free place */
	const char *config_path;
	int listen_fd;
	sigset_t unblocked;
};

static volatile sig_atomic_t stop, roll;

static void on_signal(int number)
{
	if (number == SIGHUP)
		roll = 1;
	else if (number != SIGCHLD)
		stop = 1;
}

static void install_signals(struct pool *pool)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t blocked;
	sigemptyset(&action.sa_mask);
	sigemptyset(&blocked);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		sigaction(numbers[i], &action, NULL);
		sigaddset(&blocked, numbers[i]);
	}
	sigprocmask(SIG_BLOCK, &blocked, &pool->unblocked);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigdelset(&pool->unblocked, numbers[i]);
}

static void become_child(const struct pool *pool, const struct child *child)
{
	char *const arguments[] = {(char *)(uintptr_t)"tidegate", (char *)(uintptr_t)"--config", (char *)(uintptr_t)pool->config_path,
	                           (char *)(uintptr_t)child->kind, NULL};
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (text_equal(child->kind, "serve"))
		dup2(pool->listen_fd, STDIN_FILENO);
	execv("/proc/self/exe", pool->config_path ? arguments : (char *const[]){arguments[0], arguments[3], NULL});
	_exit(EXIT_INTERNAL);
}

static void start(struct pool *pool, struct child *child)
{
	child->started_us = clock_monotonic_us();
	pid_t pid = fork();
	if (pid == 0)
		become_child(pool, child);
	if (pid < 0) {
		log_write(LOG_LEVEL_ERROR, "fork_failed", LOG_TEXT("reason", strerror(errno)));
		return;
	}
	child->pid = pid;
	log_write(LOG_LEVEL_INFO, "child_started", LOG_TEXT("kind", child->kind), LOG_INT("child", pid));
}

static int reap(struct pool *pool)
{
	int status, left = 0;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (int i = 0; i < pool->count; i++) {
			if (pool->retired[i] == pid)
				pool->retired[i] = 0;
			if (pool->children[i].pid == pid) {
				bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
				pool->children[i].pid = 0;
				log_write(clean ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "child_ended", LOG_TEXT("kind", pool->children[i].kind), LOG_INT("child", pid),
				          LOG_INT("exit", WIFEXITED(status) ? WEXITSTATUS(status) : -1), LOG_INT("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0));
			}
		}
	for (int i = 0; i < pool->count; i++)
		left += (pool->children[i].pid != 0) + (pool->retired[i] != 0);
	return left;
}

/* The old process keeps the socket until it has answered what it took; the new one is up before it is told to go. */
static void roll_over(struct pool *pool)
{
	log_write(LOG_LEVEL_INFO, "rolling_restart");
	for (int i = 0; i < pool->count && !stop; i++) {
		pid_t old = pool->children[i].pid;
		start(pool, &pool->children[i]);
		pid_t replacement = pool->children[i].pid;
		clock_sleep_ms(ROLL_PAUSE_MS);
		if (replacement == old || kill(replacement, 0) || waitpid(replacement, NULL, WNOHANG) == replacement) {
			/* a program that cannot start must not cost the one that runs */
			log_write(LOG_LEVEL_ERROR, "rolling_restart_stopped", LOG_TEXT("kind", pool->children[i].kind));
			pool->children[i].pid = old;
			return;
		}
		if (!old)
			continue;
		if (pool->retired[i]) /* it had its time since the restart before this one */
			kill(pool->retired[i], SIGKILL);
		pool->retired[i] = old;
		kill(old, SIGTERM);
	}
}

static void keep_running(struct pool *pool)
{
	while (!stop) {
		int64_t now = clock_monotonic_us(), wait_ms = 60000;
		reap(pool);
		if (roll) {
			roll = 0;
			roll_over(pool);
		}
		for (int i = 0; i < pool->count; i++) {
			struct child *child = &pool->children[i];
			int64_t rest = child->started_us + (int64_t)THROTTLE_MS * 1000 - now;
			if (child->pid == 0 && (child->started_us == 0 || rest <= 0))
				start(pool, child);
			else if (child->pid == 0 && rest / 1000 + 1 < wait_ms)
				wait_ms = rest / 1000 + 1;
		}
		struct timespec timeout = {wait_ms / 1000, wait_ms % 1000 * 1000000};
		ppoll(NULL, 0, &timeout, &pool->unblocked);
	}
}

static void stop_all(struct pool *pool)
{
	int64_t deadline = clock_monotonic_us() + (int64_t)STOP_TIMEOUT_MS * 1000;
	for (int i = 0; i < pool->count; i++)
		if (pool->children[i].pid)
			kill(pool->children[i].pid, SIGTERM);
	while (reap(pool) && clock_monotonic_us() < deadline) {
		struct timespec timeout = {0, 100000000};
		ppoll(NULL, 0, &timeout, &pool->unblocked);
	}
	for (int i = 0; i < pool->count; i++) {
		if (pool->children[i].pid)
			kill(pool->children[i].pid, SIGKILL);
		if (pool->retired[i])
			kill(pool->retired[i], SIGKILL);
	}
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
}

int command_pool(struct command *command)
{
	static struct pool pool;
	const char *socket = option_value(command, "--socket");
	int64_t serve = socket ? command->config->processes : 0;
	if (!socket && !option_flag(command, "--workers-only"))
		return complain(EXIT_USAGE, "pool needs --socket PATH (or --workers-only).");
	pool.config_path = command->config_path;
	pool.count = (int)(serve + command->config->worker_processes);
	for (int i = 0; i < pool.count; i++)
		pool.children[i].kind = i < serve ? "serve" : "work";
	install_signals(&pool);
	if (socket) {
		mode_t mask = umask(0117);
		pool.listen_fd = FCGX_OpenSocket(socket, 4096);
		umask(mask);
		if (pool.listen_fd < 0)
			return complain(EXIT_UNAVAILABLE, "%s cannot be listened on: %s.", socket, strerror(errno));
	}
	keep_running(&pool);
	stop_all(&pool);
	if (socket)
		unlink(socket);
	return 0;
}
